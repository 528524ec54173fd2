// A table of very many rows that change: sorted, filtered, shown in pieces, changed in place.

import { h, say } from "./dom.js";
import { count } from "./words.js";

const PIECE = 100;

export class Table {
  // columns: {name, text(row), sort(row)?, href(row)?, node(row)?, wide?, number?}; words(row): what a filter looks at
  constructor(columns, { words, states, empty, label }) {
    this.columns = columns;
    this.words = words;
    this.rows = new Map();
    this.lines = new Map(); // by id: the row's elements, and the row that they show
    this.sorted = { at: -1, down: false };
    this.most = PIECE;
    this.empty = empty;
    this.heads = columns.map((column, at) => h("th", { scope: "col", class: column.class },
      h("button", { type: "button", onclick: () => this.sortBy(at) }, column.name)));
    this.body = h("tbody");
    this.filter = h("input", { type: "search", id: "filter", placeholder: "Filter  ( / )",
      "aria-label": `Filter ${label}`, oninput: () => this.reset() });
    this.state = h("select", { "aria-label": "State", onchange: () => this.reset() },
      h("option", { value: "" }, "all states"), states.map((state) => h("option", { value: state }, state)));
    this.counted = h("span", { class: "faint", role: "status" });
    this.more = h("button", { type: "button", onclick: () => { this.most += 5 * PIECE; this.show(); } });
    this.element = h("section", { "aria-label": label },
      h("div", { class: "tools" }, this.filter, this.state, this.counted),
      h("table", {}, h("thead", {}, h("tr", {}, this.heads)), this.body), this.more);
    this.element.addEventListener("keydown", (event) => this.step(event));
  }

  take(changes) {
    if (changes.whole) this.rows.clear();
    for (const row of changes.rows) this.rows.set(row.id, row);
    for (const id of changes.gone) this.rows.delete(id);
    this.soon();
  }

  soon() { // many changes are one picture
    this.frame ??= requestAnimationFrame(() => { this.frame = undefined; this.show(); });
  }

  // Show all rows anew: times that are told as ages have changed.
  again() {
    for (const line of this.lines.values()) line.row = null;
    if (this.element.isConnected) this.soon();
  }

  reset() { this.most = PIECE; this.show(); }

  sortBy(at) {
    this.sorted = { at, down: this.sorted.at === at ? !this.sorted.down : Boolean(this.columns[at].number) };
    this.heads.forEach((head, i) => {
      if (i === at) head.setAttribute("aria-sort", this.sorted.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    this.show();
  }

  found() {
    const wanted = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean), state = this.state.value;
    const rows = [...this.rows.values()].filter((row) => {
      if (state && row.state !== state) return false;
      if (!wanted.length) return true;
      const words = this.words(row).toLowerCase();
      return wanted.every((word) => words.includes(word));
    });
    const column = this.columns[this.sorted.at], turn = this.sorted.down ? -1 : 1;
    if (!column) return rows.sort(this.order);
    const key = column.sort ?? column.text;
    return rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return (x < y ? -1 : x > y ? 1 : 0) * turn || this.order(a, b);
    });
  }

  order() { return 0; }

  show() {
    const found = this.found(), some = found.slice(0, this.most), kept = new Set();
    let at = this.body.firstChild;
    for (const row of some) {
      kept.add(row.id);
      const line = this.line(row);
      if (line.element === at) at = at.nextSibling;
      else this.body.insertBefore(line.element, at);
    }
    for (const [id, line] of this.lines) {
      if (!kept.has(id)) { line.element.remove(); this.lines.delete(id); }
    }
    const all = this.rows.size;
    say(this.counted, !all ? this.empty : found.length === all ? count(all) : `${count(found.length)} of ${count(all)}`);
    this.more.hidden = found.length <= this.most;
    if (!this.more.hidden) say(this.more, `Show more: ${count(found.length - this.most)} are left`);
  }

  line(row) {
    let line = this.lines.get(row.id);
    if (!line) {
      const cells = this.columns.map((column) => {
        const inner = column.href ? h("a", { href: column.href(row) }) : h("span");
        return { inner, cell: h("td", { class: column.class, "data-name": column.name }, inner) };
      });
      line = { element: h("tr", {}, cells.map((each) => each.cell)), cells, row: null };
      this.lines.set(row.id, line);
    }
    if (line.row !== row) {
      line.row = row;
      line.element.setAttribute("data-state", row.state.split(" ")[0]);
      this.columns.forEach((column, at) => {
        if (column.fill) column.fill(line.cells[at].inner, row);
        else say(line.cells[at].inner, column.text(row));
      });
    }
    return line;
  }

  // Up and down between the links of the rows.
  step(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const links = [...this.body.querySelectorAll("a")];
    if (!by || !links.length || event.target === this.state) return;
    event.preventDefault();
    const at = links.indexOf(document.activeElement);
    links[Math.min(links.length - 1, Math.max(0, at + by))].focus();
  }
}
