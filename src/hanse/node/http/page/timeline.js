// A timeline of leases on a canvas: a lane for each lease that runs beside others at its site.
// Wheel and pinch zoom, dragging moves; so do + - 0 and the arrows. What is drawn is what is in sight.

import { h, say } from "./dom.js";
import { count, duration } from "./words.js";

const LANE = 14, HEAD = 20, AXIS = 22;
const STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 240, 720, 1440].map((minutes) => minutes * 60_000);

export class Timeline {
  constructor(signal) {
    this.recorded = new Map(); // by lease: what came of it
    this.bars = new Map(); // and with those that are out
    this.lanes = [];
    this.canvas = h("canvas", { tabindex: 0, role: "img", "aria-label": "Leases over time",
      "aria-describedby": "lease" });
    this.scroll = h("div", { class: "timeline" }, this.canvas, this.spacer = h("div"));
    this.told = h("p", { id: "lease", role: "status" }, "Point at a lease, or step through them with n and p. Pale ones are out now, a line is a wait, red marks failed attempts.");
    this.tools = h("div", { class: "tools" },
      [["Zoom in", "+"], ["Zoom out", "-"], ["Earlier", "ArrowLeft"], ["Later", "ArrowRight"], ["All", "0"]].map(
        ([words, key]) => h("button", { type: "button", onclick: () => this.key(key) }, words)));
    this.element = h("section", { "aria-label": "Timeline" }, this.tools, this.scroll, this.told);
    this.pointers = new Map();
    this.chosen = null;
    this.fit = true; // shows all, until somebody zooms
    this.listen();
    this.sizes = new ResizeObserver(() => this.soon());
    this.sizes.observe(this.scroll);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.soon(), { signal });
    addEventListener("hanse-theme", () => this.soon(), { signal });
  }

  close() { this.sizes.disconnect(); }

  take({ bars, out, now_ms: now }) {
    for (const bar of bars) this.recorded.set(bar.lease, bar);
    if (bars.length || out.length || this.out || !this.placed) {
      this.bars = new Map(this.recorded);
      for (const one of out) {
        const known = this.recorded.get(one.lease) ?? { done: 0, failed: 0, ...one };
        this.bars.set(one.lease, { ...known, start_ms: one.start_ms, stop_ms: Math.max(now, one.start_ms), out: true });
      }
      this.out = out.length;
      this.place();
      const chosen = this.bars.get(this.chosen?.lease);
      if (chosen) { this.chosen = null; this.choose(chosen); }
    }
    this.soon();
  }

  // Sites by name; at each, a lease goes to the first lane that is free again.
  place() {
    this.placed = true;
    const sites = new Map();
    for (const bar of [...this.bars.values()].sort((a, b) => a.start_ms - b.start_ms)) {
      if (!sites.has(bar.site)) sites.set(bar.site, []);
      const lanes = sites.get(bar.site);
      let lane = lanes.find((each) => each.free <= bar.start_ms);
      if (!lane) lanes.push(lane = { bars: [], free: 0 });
      lane.bars.push(bar);
      lane.free = bar.stop_ms;
    }
    this.lanes = [];
    this.heads = [];
    let y = 0;
    for (const site of [...sites.keys()].sort()) {
      this.heads.push({ site, y });
      y += HEAD;
      for (const lane of sites.get(site)) { this.lanes.push({ bars: lane.bars, y }); y += LANE; }
    }
    this.height = y;
    const all = [...this.bars.values()];
    this.from = all.reduce((least, bar) => Math.min(least, bar.start_ms), Infinity);
    this.until = Math.max(this.from + 1, all.reduce((most, bar) => Math.max(most, bar.stop_ms), 0));
    this.ordered = this.lanes.flatMap((lane) => lane.bars).sort((a, b) => a.start_ms - b.start_ms);
    if (this.fit) [this.left, this.right] = [this.from, this.until];
  }

  soon() { this.frame ??= requestAnimationFrame(() => { this.frame = undefined; this.draw(); }); }

  get width() { return this.scroll.clientWidth; }

  x(ms) { return ((ms - this.left) / (this.right - this.left)) * this.width; }

  draw() {
    const width = this.width, height = Math.min(this.height + AXIS, Math.max(200, innerHeight * 0.6));
    if (!width) return;
    const scale = devicePixelRatio || 1, colors = getComputedStyle(this.element);
    const color = (name) => colors.getPropertyValue(name);
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.scroll.style.maxHeight = `${height}px`;
    this.spacer.style.height = `${Math.max(0, this.height + AXIS - height)}px`;
    const pen = this.canvas.getContext("2d"), top = this.scroll.scrollTop - AXIS;
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    if (!this.bars.size) {
      pen.fillStyle = color("--faint");
      pen.fillText("No lease is known yet.", 10, 40);
      return;
    }
    this.axis(pen, height, color);
    pen.save();
    pen.beginPath();
    pen.rect(0, AXIS, width, height - AXIS);
    pen.clip();
    for (const head of this.heads) {
      const y = head.y - top;
      if (y < -HEAD || y > height) continue;
      pen.fillStyle = color("--text");
      pen.fillText(head.site, 4, y + HEAD / 2 + 2);
    }
    const fills = { good: color("--bar"), failed: color("--failed"), chosen: color("--text") };
    for (const lane of this.lanes) {
      const y = lane.y - top;
      if (y < -LANE || y > height) continue;
      let behind = -1; // nothing narrower than a pixel is drawn on what is drawn
      for (const bar of lane.bars) {
        if (bar.stop_ms < this.left) continue;
        if (bar.start_ms > this.right) break;
        const x = Math.max(0, this.x(bar.start_ms)), end = Math.min(width, Math.max(x + 1, this.x(bar.stop_ms) - 0.5));
        const chosen = bar.lease === this.chosen?.lease;
        if (end <= behind && !chosen) continue;
        const begin = Math.max(x, behind), long = Math.max(1, end - begin);
        pen.fillStyle = chosen ? fills.chosen : fills.good;
        pen.globalAlpha = bar.out && !chosen ? 0.45 : 1;
        const waited = Math.max(0, Math.min(end, this.x(bar.begun_ms ?? bar.start_ms)) - begin);
        pen.fillRect(begin, y + LANE / 2 - 1, waited, 2); // it lay in line
        if (long > waited) pen.fillRect(begin + waited, y + 1, long - waited, LANE - 3);
        pen.globalAlpha = 1;
        pen.fillStyle = fills.failed;
        if (bar.failed) pen.fillRect(begin + waited, y + LANE - 6, Math.max(1, long - waited), 4);
        behind = end;
      }
    }
    pen.restore();
  }

  axis(pen, height, color) {
    const span = this.right - this.left, rough = span / Math.max(2, this.width / 110);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = rough > 30_000 ? STEPS.find((each) => each >= rough) ?? rough // minutes and hours
      : power * [1, 2, 5, 10].find((each) => each * power >= rough);
    pen.strokeStyle = color("--line");
    pen.fillStyle = color("--faint");
    for (let at = Math.ceil((this.left - this.from) / step) * step; at <= this.right - this.from; at += step) {
      const x = this.x(this.from + at);
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, height);
      pen.stroke();
      pen.fillText(clock(at, step), x + 3, AXIS / 2);
    }
  }

  zoom(by, x = this.width / 2) {
    const at = this.left + (x / this.width) * (this.right - this.left);
    const whole = this.until - this.from;
    const span = Math.min(whole * 1.2, Math.max(Math.min(1, whole), (this.right - this.left) / by));
    const share = (at - this.left) / (this.right - this.left);
    [this.left, this.right] = [at - span * share, at + span * (1 - share)];
    this.fit = false;
    this.move(0);
  }

  // By a part of what is in sight.
  move(share) {
    const span = this.right - this.left, edge = span * 0.5;
    const left = Math.min(this.until - edge, Math.max(this.from - edge, this.left + share * span));
    [this.left, this.right] = [left, left + span];
    if (share) this.fit = false;
    this.soon();
  }

  all() { this.fit = true; [this.left, this.right] = [this.from, this.until]; this.soon(); }

  key(key) {
    const acts = {
      "+": () => this.zoom(1.6), "=": () => this.zoom(1.6), "-": () => this.zoom(1 / 1.6), 0: () => this.all(),
      ArrowLeft: () => this.move(-0.2), ArrowRight: () => this.move(0.2), n: () => this.step(1), p: () => this.step(-1),
      ArrowDown: () => { this.scroll.scrollTop += 3 * LANE; }, ArrowUp: () => { this.scroll.scrollTop -= 3 * LANE; },
    };
    if (!acts[key] || !this.bars.size) return false;
    acts[key]();
    return true;
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && this.key(event.key)) event.preventDefault();
    });
    this.scroll.addEventListener("scroll", () => this.soon());
    canvas.addEventListener("wheel", (event) => {
      if (event.shiftKey || !this.bars.size) return; // then the page, or the lanes, scroll
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move(event.deltaX / this.width);
      else this.zoom(Math.exp(-event.deltaY / 300), event.offsetX);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointermove", (event) => this.pointed(event));
  }

  pointed(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) { this.choose(this.at(event.offsetX, event.offsetY)); return; }
    const others = [...this.pointers.values()].filter((each) => each.pointerId !== event.pointerId);
    if (others.length) {
      const far = (one) => Math.max(10, Math.abs(one.offsetX - others[0].offsetX));
      this.zoom(far(event) / far(before), (event.offsetX + others[0].offsetX) / 2);
    } else if (this.bars.size) {
      this.move((before.offsetX - event.offsetX) / this.width);
      if (event.pointerType === "mouse") this.scroll.scrollTop += before.offsetY - event.offsetY;
      this.choose(this.at(event.offsetX, event.offsetY));
    }
    this.pointers.set(event.pointerId, event);
  }

  at(x, y) {
    const inside = y + this.scroll.scrollTop - AXIS, lane = this.lanes.find((each) => inside >= each.y && inside < each.y + LANE);
    const ms = this.left + (x / this.width) * (this.right - this.left), near = (this.right - this.left) / this.width;
    return lane?.bars.find((bar) => bar.start_ms - near <= ms && ms <= bar.stop_ms + near) ?? null;
  }

  step(by) {
    const at = this.ordered.findIndex((bar) => bar.lease === this.chosen?.lease);
    const bar = this.ordered[Math.min(this.ordered.length - 1, Math.max(0, at + by))];
    if (bar.start_ms < this.left || bar.stop_ms > this.right) this.move((bar.start_ms - this.left) / (this.right - this.left) - 0.1);
    this.choose(bar);
  }

  choose(bar) {
    if (!bar || bar === this.chosen) return;
    this.chosen = bar;
    const failed = bar.failed ? `, ${count(bar.failed)} attempts failed` : "";
    const took = duration((bar.stop_ms - bar.start_ms) / 1000), since = new Date(bar.start_ms).toLocaleTimeString();
    say(this.told, `Items ${count(bar.first)} to ${count(bar.stop - 1)} at ${bar.site}: ${count(bar.done)} done${failed}, `
      + (bar.out ? `out for ${took}, since ${since}.` : `${took}, from ${since} on.`));
    this.soon();
  }
}

// A time since the first lease: 1:02:03, 2:03, 2.5 s, or 250 ms.
function clock(ms, step) {
  if (ms < 1000 && step < 1000) return ms === 0 ? "0" : `${Math.round(ms * 1000) / 1000} ms`;
  const part = step < 1000 ? Math.min(6, Math.ceil(-Math.log10(step / 1000))) : 0;
  if (ms < 60_000) return `${(ms / 1000).toFixed(part)} s`;
  const seconds = (ms / 1000) % 60, minutes = Math.floor(ms / 60_000) % 60, hours = Math.floor(ms / 3_600_000);
  const pad = (number, digits = 0) => number.toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return (hours ? `${hours}:${pad(minutes)}` : minutes) + `:${pad(seconds, part)}`;
}
