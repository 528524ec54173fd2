// One job: what it is, what it waits for, its failures, its timeline, its log.

import { ask } from "./asking.js";
import { command, facts, fill, h, say } from "./dom.js";
import { bar, fillBar, fillState, items, price, took } from "./jobs.js";
import { Timeline } from "./timeline.js";
import { ago, count, duration, moment, size } from "./words.js";

const PARTS = { "": "Overview", failures: "Failures", timeline: "Timeline", log: "Log" };
const LINES = 5000; // of a log that are shown

export class JobView {
  constructor(id, part) {
    this.id = id;
    this.part = part in PARTS ? part : "";
    this.path = `/dash/jobs/${encodeURIComponent(id)}`;
    this.ending = new AbortController();
    this.body = h("div", { class: "part" });
    this.title = h("h1", {}, id);
    this.state = h("span", { class: "state" });
    this.bar = h("progress", { max: 1, "aria-label": "done" });
    this.counts = h("span", { class: "number" });
    this.element = h("article", {},
      h("p", {}, h("a", { href: "#/jobs" }, "All jobs")), this.title,
      h("p", { class: "progress" }, this.state, this.bar, this.counts),
      h("nav", { class: "tabs", "aria-label": "Of this job" }, Object.entries(PARTS).map(([name, words]) =>
        h("a", { href: `#/jobs/${encodeURIComponent(id)}${name && "/"}${name}`,
          "aria-current": name === this.part ? "page" : null }, words))),
      this.body);
    this.run();
  }

  close() { this.ending.abort(); this.timeline?.close(); }

  // The row of the live list.
  take(row) {
    if (!row) return;
    const changed = !this.row || row.updated_s !== this.row.updated_s || row.state !== this.row.state;
    this.row = row;
    say(this.title, row.name || row.id);
    fillState(this.state, row);
    fillBar(this.bar, row);
    say(this.counts, [items(row), row.leased ? `${count(row.leased)} are out` : "", price(row) && `cost ${price(row)}`].filter(Boolean).join("; "));
    if (changed) this.stale = true;
  }

  get running() { return this.row?.state === "running"; }

  async run() {
    const show = { "": this.overview, failures: this.failures, timeline: this.leases, log: this.log }[this.part];
    let first = true;
    while (!this.ending.signal.aborted) {
      let wait = 1000;
      if (first || this.stale || (this.running && ["", "timeline"].includes(this.part))) {
        this.stale = false;
        try { await show.call(this); first = false; } catch (error) {
          if (this.ending.signal.aborted) return;
          wait = 10_000;
          fill(this.body, h("p", { class: "trouble", role: "alert" }, error.message));
        }
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  ask(more) { return ask(this.path + more, this.ending.signal); }

  async overview() {
    const [story, waits] = await Promise.all([this.ask(""), this.ask("/waits")]);
    this.take(this.row ?? story);
    const { program, usage } = story, id = story.id;
    const per = usage.p50_s === null ? "" : `half within ${duration(usage.p50_s)}, 99 % within ${duration(usage.p99_s)}`;
    const options = program && [program.retries ? `retries=${program.retries}` : "",
      program.timeout_s === null ? "" : `timeout=${program.timeout_s}`].filter(Boolean).join(", ");
    const commands = [`hanse explain ${id}`, story.failed && !program?.calls ? `hanse retry ${id} --failed` : "",
      story.state === "running" ? `hanse cancel ${id}` : `hanse export ${id} --to ${id}.jsonl`].filter(Boolean);
    fill(this.body,
      h("h2", {}, "What it waits for"),
      h("ul", { class: "waits" }, waits.lines.map((line) => h("li", {}, line))),
      h("h2", {}, "What it is"),
      facts([
        ["job", id], ["name", story.name + (story.superseded ? " (a newer job has this name now)" : "")],
        ["function", story.function], ["program", program?.command], ["directory", program?.cwd],
        ["who", `${story.user} on ${story.host}`], ["begun", `${moment(story.created_s)} (${ago(story.created_s)})`],
        ["ended", moment(story.ended_s)], ["took", took(story)], ["options", options], ["per item", per],
        ["processor", usage.items ? duration(usage.cpu_s) : ""], ["peak memory", usage.peak_bytes ? size(usage.peak_bytes) : ""],
        [story.state === "running" ? "cost so far" : "cost", price(story)], ["stored", size(story.stored_bytes)], ["made with", program && `Hanse ${program.hanse}, Python ${program.python}`],
      ]),
      h("h2", {}, "In a terminal"), commands.map((words) => h("p", {}, command(words))));
  }

  async failures() {
    const found = await this.ask("/failures");
    const open = new Set([...this.body.querySelectorAll("details[open]")].map((each) => each.dataset.item));
    if (!found.shown.length) {
      fill(this.body, h("p", {}, "No item has failed."));
      return;
    }
    fill(this.body,
      found.more ? h("p", { class: "faint" }, `The first ${count(found.shown.length)}; ${count(found.more)} more have failed.`) : "",
      found.shown.map((each, at) => this.failure(each, found.replay, open, at === 0)));
  }

  failure(each, replay, open, first) {
    const several = each.stop - each.item > 1 ? ` to ${count(each.stop - 1)}` : "";
    const key = String(each.item);
    return h("details", { class: "failure", "data-item": key, open: open.has(key) || (first && !this.body.querySelector("details")) },
      h("summary", {}, h("b", {}, `Item ${count(each.item)}${several}`), " ", each.headline),
      each.traceback ? h("pre", { tabindex: 0 }, each.traceback) : null,
      each.output ? [h("h3", {}, "Its last output"), h("pre", { tabindex: 0 }, each.output)] : null,
      replay ? h("p", {}, "Run it again, here: ", command(`${replay} ${each.item}`)) : null);
  }

  async leases() {
    if (!this.timeline) {
      this.timeline = new Timeline(this.ending.signal);
      const save = h("button", { type: "button", onclick: () => this.save() }, "Save as a trace");
      this.note = h("p", { class: "faint" });
      fill(this.body, this.timeline.element, h("p", {}, save,
        " opens in ", h("code", {}, "ui.perfetto.dev"), " and ", h("code", {}, "chrome://tracing"), "."), this.note);
      this.next = 0;
    }
    const found = await this.ask(`/leases?first=${this.next}`);
    this.next = found.next;
    this.timeline.take(found);
    say(this.note, [found.dropped ? `${count(found.dropped)} older leases are left out.` : "",
      found.undated ? `${count(found.undated)} parts were recorded by an older Hanse, without a time.` : ""].join(" "));
  }

  async save() {
    const trace = await this.ask("/trace");
    const url = URL.createObjectURL(new Blob([JSON.stringify(trace)], { type: "application/json" }));
    const link = h("a", { href: url, download: `${this.id}.trace.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  async log() {
    if (!this.lines) {
      this.lines = h("pre", { class: "log", tabindex: 0, "aria-label": "What its items printed" });
      this.end = h("input", { type: "checkbox", id: "end", checked: true });
      this.item = h("input", { type: "number", min: 0, placeholder: "item", "aria-label": "Only of this item",
        oninput: () => this.only() });
      this.left = h("p", { class: "faint" });
      fill(this.body, h("div", { class: "tools" }, h("label", {}, this.end, " stay at the end"), this.item), this.left, this.lines);
    }
    const found = await this.ask(this.at === undefined ? "/log" : `/log?first=${this.at}`);
    if (this.at === undefined && found.first) say(this.left, `${size(found.first)} before this are left out: hanse logs ${this.id}`);
    this.at = found.at;
    for (const piece of found.pieces) this.line(piece);
    while (this.lines.childNodes.length > LINES) this.lines.firstChild.remove();
    if (!this.lines.childNodes.length) say(this.left, "Its items have printed nothing.");
    else if (this.left.textContent.endsWith("nothing.")) say(this.left, "");
    if (this.end.checked) this.lines.scrollTop = this.lines.scrollHeight;
    if (found.pieces.length || this.running) this.stale = true;
  }

  line(piece) {
    const text = piece.stream === "hanse" ? `(${piece.text.trim()})` : piece.text.replace(/\n$/, "");
    const who = piece.item === null ? "-" : String(piece.item);
    this.lines.append(h("div", { class: piece.stream, "data-item": who, hidden: this.item.value !== "" && this.item.value !== who },
      h("b", {}, `[${who}] `), text));
  }

  only() {
    const wanted = this.item.value;
    for (const line of this.lines.childNodes) line.hidden = wanted !== "" && line.dataset.item !== wanted;
  }
}
