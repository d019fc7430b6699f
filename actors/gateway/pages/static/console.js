"use strict";
// The console without reloading: the page is asked for again, and its live regions are put in place
// of the old ones. Every few seconds, and as soon as the log has something new, where it is followed.
// `tick` is site.js's: it says how long ago a time was.

const EVERY_MS = 5000;
const SOON_MS = 700;
const AWAY_MS_MAX = 16000;

class Watch {
  constructor(root) {
    this.state = document.querySelector("[data-live-state]");
    this.tail = root.dataset.tail;
    this.regions = [...document.querySelectorAll("[data-live]")];
    this.served = new Map(this.regions.map((region) => [region.id, region.innerHTML]));
    this.failures = 0;
    this.paused = false;
    this.missed = 0;
    this.at = Date.now();
  }

  start() {
    if (this.state) {
      this.text = document.createElement("span");
      this.button = document.createElement("button");
      this.button.type = "button";
      this.button.addEventListener("click", () => this.pause());
      this.state.replaceChildren(this.text, this.button);
      this.state.hidden = false;
    }
    this.say();
    this.follow();
    this.again(EVERY_MS);
    setInterval(() => this.say(), 1000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.again(0); });
  }

  pause() {
    this.paused = !this.paused;
    this.missed = 0;
    this.say();
    if (!this.paused) this.again(0);
  }

  say() {
    if (!this.state) return;
    const seconds = Math.round((Date.now() - this.at) / 1000);
    this.state.dataset.state = this.failures ? "lost" : this.paused ? "paused" : "live";
    const missed = this.missed ? `, ${this.missed} new` : "";
    const live = this.paused ? `Paused${missed}` : `Live, updated ${seconds < 2 ? "just now" : `${seconds} s ago`}`;
    this.text.textContent = this.failures ? `No answer for ${seconds} s, retrying` : live;
    this.button.textContent = this.paused ? (this.missed ? "Show them" : "Go on") : "Pause";
  }

  again(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), ms);
  }

  follow() {
    if (!this.tail) return;
    const source = new EventSource(this.tail);
    const changed = (event) => {
      if (this.paused && event.lastEventId) { this.missed += 1; this.say(); }
      if (this.soon || this.paused) return;
      this.soon = setTimeout(() => { this.soon = null; this.refresh(); }, SOON_MS);
    };
    for (const name of ["order.event", "topology"]) source.addEventListener(name, changed);
    source.addEventListener("bye", () => source.close());
  }

  async refresh() {
    if (this.paused || document.hidden) { this.again(EVERY_MS); return; }
    if (this.asking) return;
    this.asking = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected) { location.reload(); return; }
      if (!answer.ok) throw new Error(answer.status);
      this.show(new DOMParser().parseFromString(await answer.text(), "text/html"));
      this.failures = 0;
      this.at = Date.now();
    } catch {
      this.failures += 1;
    }
    this.asking = false;
    this.say();
    this.again(Math.min(EVERY_MS * 2 ** this.failures, AWAY_MS_MAX));
  }

  show(fresh) {
    for (const region of this.regions) {
      const html = fresh.getElementById(region.id)?.innerHTML;
      const busy = region.hasAttribute("data-live-unless-busy")
        && (region.querySelector(":checked") || region.contains(document.activeElement));
      if (html === undefined || html === this.served.get(region.id) || busy) continue;
      const focused = region.contains(document.activeElement) ? document.activeElement : null;
      const open = [...region.querySelectorAll("details[open]")].map((details) => details.id);
      this.served.set(region.id, html);
      region.innerHTML = html;
      for (const id of open) { const found = document.getElementById(id); if (found) found.open = true; }
      if (focused?.id) document.getElementById(focused.id)?.focus();
      else if (focused?.matches("a")) [...region.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused.getAttribute("href"))?.focus();
    }
    tick();
  }
}

document.querySelectorAll("[data-refresh]").forEach((root) => new Watch(root).start());
