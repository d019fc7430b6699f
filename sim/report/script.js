// The timeline, drawn again in the browser for another part of the run. Layout: see layout.py.
(() => {
  "use strict";
  const source = document.getElementById("scene");
  const frame = document.getElementById("timeline");
  if (!source || !frame) return;
  const S = JSON.parse(source.textContent);
  const LEFT = 104, RIGHT = 144, TOP = 34, ROW = 16, PAD = 5, GLYPH = 10, LETTER = 5.7, ROWS = 9;
  const [LANE, SHAPE, AT, UNTIL, STEP, ORDER, TONE, TORN, COUNT, LABEL, TEXT] =
    Array.from({ length: 11 }, (_, i) => i);
  const marks = S.marks;
  const view = { ...S.view, hidden: new Set(), faults: true };
  const lit = new Set();
  const esc = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const id = (name) => document.getElementById(name);

  function visible() {
    const found = [];
    marks.forEach((mark, number) => {
      if (view.hidden.has(S.lanes[mark[LANE]])) return;
      if (!view.faults && mark[TONE] === "fault") return;
      if (view.order && mark[ORDER] && mark[ORDER] !== view.order) return;
      const end = mark[UNTIL] === null ? mark[AT] : mark[UNTIL];
      if (mark[AT] <= view.end && end >= view.begin) found.push(number);
    });
    return found;
  }

  function scaleOf(numbers) {
    const times = new Set();
    for (const n of numbers) {
      times.add(Math.min(Math.max(marks[n][AT], view.begin), view.end));
      if (marks[n][UNTIL] && marks[n][UNTIL] <= view.end) times.add(marks[n][UNTIL]);
    }
    const sorted = [...times].sort((a, b) => a - b);
    const steps = view.axis === "step";
    const width = Math.max(frame.clientWidth - 2, 360, LEFT + RIGHT + 26 * (steps ? sorted.length : 40));
    const left = LEFT + GLYPH, right = width - RIGHT, last = sorted.length - 1;
    const x = (at) => {
      if (last < 1 || at <= sorted[0]) return left;
      if (at >= sorted[last]) return right;
      if (!steps) return left + (right - left) * (at - sorted[0]) / (sorted[last] - sorted[0]);
      let low = 0, high = last;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (sorted[middle] <= at) low = middle; else high = middle;
      }
      const share = (at - sorted[low]) / (sorted[high] - sorted[low]);
      return left + (right - left) * (low + share) / last;
    };
    return { x, width, times: sorted };
  }

  const labelOf = (mark) => {
    const label = mark[COUNT] > 1 ? `${mark[LABEL]} x${mark[COUNT]}` : mark[LABEL];
    const whose = !view.order && mark[ORDER] && S.lanes[mark[LANE]] !== "client";
    return whose ? `o${mark[ORDER]} ${label}` : label;
  };

  function place(numbers, scale) {
    const bands = [], places = new Map();
    let top = TOP;
    S.lanes.forEach((lane, at) => {
      if (view.hidden.has(lane)) return;
      const ends = [];
      for (const n of numbers.filter((n) => marks[n][LANE] === at)) {
        const mark = marks[n], x = scale.x(mark[AT]);
        const right = mark[UNTIL] === null ? x + GLYPH : Math.max(x + 3, scale.x(mark[UNTIL]));
        const text = LETTER * labelOf(mark).length;
        const inside = mark[UNTIL] !== null && text + 6 <= right - x;
        const wanted = inside ? right : right + 5 + text;
        let row = ends.findIndex((end) => end <= x - GLYPH / 2), room = true;
        if (row < 0 && ends.length < ROWS) row = ends.push(0) - 1;
        if (row < 0) { row = ends.indexOf(Math.min(...ends)); room = false; }
        ends[row] = room ? wanted : Math.max(ends[row], right);
        const y = top + PAD + ROW / 2 + row * ROW;
        const offset = mark[UNTIL] === null ? GLYPH / 2 + 3 : inside ? 4 : right - x + 5;
        places.set(n, { x, y, width: right - x, room, offset });
      }
      const height = 2 * PAD + Math.max(1, ends.length) * ROW;
      bands.push({ lane, top, height });
      top += height;
    });
    return { bands, places, bottom: top };
  }

  function bar(mark, width) {
    const half = ROW / 2 - 2.5;
    if (!mark[TORN])
      return `<rect class="bar" y="${-half}" width="${width.toFixed(1)}" height="${2 * half}" rx="2"/>`;
    const tooth = half / 2;
    return `<path class="bar torn" d="M0 ${half}V${-half}H${width.toFixed(1)}l3 ${tooth}-3 ${tooth} 3 ${tooth}-3 ${tooth}H0Z"/>`;
  }

  function frameOf(scale, bands, bottom) {
    const out = [];
    bands.forEach((band, n) => out.push(
      `<rect class="lane${n % 2 ? " odd" : ""}" x="0" y="${band.top}" width="${scale.width}" height="${band.height}"/>`));
    for (const [lanes, at, until, why] of S.downs) {
      const end = until === null ? view.end : until;
      if (end < view.begin || at > view.end) continue;
      const left = scale.x(at), width = Math.max(2, scale.x(end) - left);
      for (const band of bands.filter((band) => lanes.includes(band.lane)))
        out.push(`<rect class="down" x="${left}" y="${band.top}" width="${width}" height="${band.height}"><title>${esc(why)}</title></rect>`);
    }
    let last = -90;
    for (const at of scale.times) {
      const x = scale.x(at);
      if (x - last < 90) continue;
      last = x;
      out.push(`<path class="grid" d="M${x} ${TOP}V${bottom}"/><text class="tick" x="${x}" y="${bottom + 15}">+${at.toFixed(3)}s</text>`);
    }
    for (const [number, [name, at]] of S.phases.entries()) if (at >= view.begin && at <= view.end) {
      const x = scale.x(at), y = TOP - 6 - 12 * (number % 2);
      out.push(`<path class="phase" d="M${x} ${TOP - 14}V${bottom}"/><text class="phase-name" x="${x + 4}" y="${y}">${esc(name)}</text>`);
    }
    if (S.focus.step && S.focus.at >= view.begin && S.focus.at <= view.end)
      out.push(`<path class="here" d="M${scale.x(S.focus.at)} ${TOP}V${bottom}"/>`);
    return out;
  }

  function render() {
    const numbers = visible(), scale = scaleOf(numbers);
    const { bands, places, bottom } = place(numbers, scale);
    const out = frameOf(scale, bands, bottom);
    for (const [cause, effect] of S.links) {
      const one = places.get(cause), other = places.get(effect);
      if (one && other) out.push(
        `<path class="link${lit.has(cause) && lit.has(effect) ? " lit" : ""}" d="M${one.x} ${one.y} ${other.x} ${other.y}"/>`);
    }
    for (const n of numbers) {
      const mark = marks[n], at = places.get(n), shape = S.shapes[mark[SHAPE]];
      const inner = S.glyphs[shape] || bar(mark, at.width);
      const text = at.room ? `<text x="${at.offset}" y="3.8">${esc(labelOf(mark))}</text>` : "";
      const state = !lit.size ? "" : lit.has(n) ? " lit" : " pale";
      out.push(`<g class="mark ${mark[TONE]} ${shape}${state}" data-n="${n}" transform="translate(${at.x.toFixed(1)} ${at.y})"><title>${esc(`step ${mark[STEP]}  t=+${mark[AT].toFixed(3)}s  ${mark[TEXT]}`)}</title>${inner}${text}</g>`);
    }
    out.push(`<g class="names">${bands.map((band, n) => `<rect class="lane${n % 2 ? " odd" : ""}" x="0" y="${band.top}" width="${LEFT - 8}" height="${band.height}"/><text class="lane-name" x="8" y="${band.top + ROW}">${band.lane}</text>`).join("")}</g>`);
    const height = bottom + 26;
    frame.innerHTML = `<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 ${scale.width} ${height}" width="${scale.width}" height="${height}" role="img" aria-label="Timeline of the run">${S.hatch}${out.join("")}</svg>`;
    id("range").textContent = `${numbers.length} of ${marks.length} marks, +${view.begin.toFixed(3)}s to +${view.end.toFixed(3)}s`;
    pin();
  }

  const pin = () => {
    const names = frame.querySelector(".names");
    if (names) names.setAttribute("transform", `translate(${frame.scrollLeft} 0)`);
  };
  function chain(start) {
    lit.clear();
    for (const [from, to] of [[0, 1], [1, 0]]) {
      const todo = [start];
      while (todo.length) {
        const n = todo.pop();
        lit.add(n);
        for (const link of S.links) if (link[from] === n && !lit.has(link[to])) todo.push(link[to]);
      }
    }
  }
  function look(begin, end) { view.begin = Math.max(0, begin); view.end = Math.min(S.end, end); render(); }
  function zoom(factor) {
    const numbers = visible().map((n) => marks[n][AT]).sort((a, b) => a - b);
    const middle = S.focus.step && S.focus.at >= view.begin && S.focus.at <= view.end
      ? S.focus.at : numbers[numbers.length >> 1] ?? (view.begin + view.end) / 2;
    look(middle - (middle - view.begin) * factor, middle + (view.end - middle) * factor);
  }
  function jump(at) {
    const half = Math.max(0.5, (view.end - view.begin) / 2);
    look(at - half, at + half);
  }

  id("controls").hidden = false;
  id("order").addEventListener("change", (e) => { view.order = Number(e.target.value); lit.clear(); render(); });
  id("axis").addEventListener("change", (e) => { view.axis = e.target.value; render(); });
  id("near").addEventListener("click", () => { Object.assign(view, { begin: S.view.begin, end: S.view.end }); render(); });
  id("all").addEventListener("click", () => look(0, S.end));
  id("in").addEventListener("click", () => zoom(0.5));
  id("out").addEventListener("click", () => zoom(2));
  id("first-fault").addEventListener("click", () => {
    const first = marks.find((mark) => mark[TONE] === "fault");
    if (first) jump(first[AT]);
  });
  id("failure")?.addEventListener("click", () => jump(S.focus.at));
  for (const box of document.querySelectorAll("#lanes input")) box.addEventListener("change", () => {
    if (box.name === "strikes") view.faults = box.checked;
    else if (box.checked) view.hidden.delete(box.name); else view.hidden.add(box.name);
    render();
  });
  frame.addEventListener("scroll", pin, { passive: true });
  frame.addEventListener("click", (e) => {
    const mark = e.target.closest?.(".mark");
    if (mark) chain(Number(mark.dataset.n)); else lit.clear();
    render();
  });
  window.addEventListener("resize", render);
  for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", async () => {
    const text = button.previousElementSibling.textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = "copied"; }
    catch { button.textContent = "select it, then Ctrl-C"; }
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  });
  render();
  if (S.focus.step) {
    const here = frame.querySelector(".here");
    if (here) frame.scrollLeft = Math.max(0, here.getBBox().x - frame.clientWidth * 0.6);
  }
})();
