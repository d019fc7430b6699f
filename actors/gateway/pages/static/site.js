"use strict";
// Nothing here is needed to use the shop: it saves reloading. What is new is asked of the same page
// again, and its live regions are put in place of the old ones; so there is one rendering, on the
// server, and this file knows nothing about orders.

const byId = (id, root = document) => root.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Times: "12 s ago" beside the exact one, which stays as the title.

function ago(date) {
  const seconds = (Date.now() - date) / 1000;
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

function tick() {
  for (const time of all("time[data-time]")) time.textContent = ago(new Date(time.dateTime));
  for (const time of all("time[data-until]")) {
    const left = Math.ceil((Date.parse(time.dateTime) - Date.now()) / 1000);
    const minutes = left >= 60 ? `${Math.floor(left / 60)} min ` : "";
    time.textContent = left > 0 ? `in ${minutes}${left % 60} s` : "now";
  }
}

// Forms: sent once, whatever the finger does; the server makes one order of it in any case.

function sendOnce(form) {
  const button = form.querySelector("button:not([type=button])");
  const label = button.textContent;
  form.addEventListener("submit", () => {
    button.textContent = form.dataset.once;
    setTimeout(() => { button.disabled = true; });
  });
  addEventListener("pageshow", () => { button.disabled = false; button.textContent = label; });
}

function copyButton(button) {
  if (!navigator.clipboard) return;
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const { value, textContent } = byId(button.dataset.copy);
    await navigator.clipboard.writeText(value ?? textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// Live pages

const RETRY_MS_MAX = 8000;
const STALE_MS = 30000;
const FOLLOW_MS = 2000;
const MAILS_FOLLOW_MS = [1500, 5000];

class Live {
  constructor(root) {
    this.url = root.dataset.stream;
    this.after = root.dataset.version;
    this.settled = root.dataset.settled === "true";
    this.state = document.querySelector("[data-live-state]");
    this.served = new Map(all("[data-live]").map((region) => [region.id, region.innerHTML]));
    this.failures = 0;
    this.lostAt = null;
  }

  start() {
    if (this.settled) { this.say("done", "Complete"); this.later(); return; }
    this.connect();
    // What is tried again makes no event until it succeeds.
    setInterval(() => { if (document.querySelector("[data-follow]")) this.refresh(); }, FOLLOW_MS);
    // A window that nobody sees gives back its connection: browsers have six for each server.
    document.addEventListener("visibilitychange", () => {
      if (this.settled) return;
      clearTimeout(this.waiting);
      this.waiting = null;
      this.source.close();
      this.lostAt ||= Date.now();
      if (!document.hidden) this.connect();
    });
  }

  say(state, text) {
    this.state.hidden = false;
    this.state.dataset.state = state;
    this.state.textContent = text;
  }

  connect() {
    const source = this.source = new EventSource(`${this.url}?after=${this.after}`);
    source.onopen = () => {
      const was = this.lostAt;
      this.failures = 0;
      this.lostAt = null;
      this.say("live", "Live");
      if (was) this.refresh();
    };
    source.addEventListener("order.event", (event) => {
      this.after = event.lastEventId || this.after;
      this.refresh();
      this.later();
    });
    source.addEventListener("complete", () => {
      source.close();
      this.settled = true;
      this.say("done", "Complete");
      this.refresh();
    });
    source.addEventListener("bye", () => this.lost(source));
    source.onerror = () => this.lost(source);
  }

  lost(source) {
    source.close();
    if (this.settled || this.waiting) return;
    this.lostAt ||= Date.now();
    this.failures += 1;
    const stale = Date.now() - this.lostAt > STALE_MS;
    this.say("lost", stale ? "May be out of date" : "Connection lost, retrying");
    const pause = Math.min(500 * 2 ** this.failures, RETRY_MS_MAX);
    this.waiting = setTimeout(() => { this.waiting = null; this.connect(); }, pause);
  }

  later() {
    for (const ms of MAILS_FOLLOW_MS) setTimeout(() => this.refresh(), ms);
  }

  async refresh() {
    if (this.asking) { this.again = true; return; }
    this.asking = true;
    try {
      const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
      if (answer.ok) this.show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The stream notices that the server is away, and asks again once it is back.
    }
    this.asking = false;
    if (this.again) { this.again = false; this.refresh(); }
  }

  show(fresh) {
    const focused = document.activeElement?.id;
    for (const region of all("[data-live]")) {
      const html = byId(region.id, fresh)?.innerHTML;
      if (html === undefined || html === this.served.get(region.id)) continue;
      this.served.set(region.id, html);
      const open = all("details[open]", region).map((details) => details.id);
      region.innerHTML = html;
      for (const id of open) if (byId(id)) byId(id).open = true;
    }
    tick();
    const again = focused && byId(focused);
    if (again && again !== document.activeElement) again.focus();
  }
}

all("form[data-once]").forEach(sendOnce);
all("[data-copy]").forEach(copyButton);
all("[data-focus]").slice(0, 1).forEach((element) => element.focus());
all("[data-stream]").forEach((root) => new Live(root).start());
tick();
setInterval(tick, 1000);
