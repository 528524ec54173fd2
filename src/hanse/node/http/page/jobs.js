// The list of jobs.

import { h, say } from "./dom.js";
import { Table } from "./table.js";
import { ago, count, duration, money, now } from "./words.js";

export const STATES = ["running", "interrupted", "done", "failed", "cancelled"];

export function whole(row) { return row.total ?? row.size; }

export function items(row) {
  const all = whole(row), more = row.total === null && row.state === "running" ? " or more" : "";
  const done = row.done === all && !more ? count(all) : `${count(row.done)} of ${count(all)}${more}`;
  return row.failed ? `${done}, ${count(row.failed)} failed` : done;
}

// From its beginning to its end; until now if it runs, and else to its last sign of life.
function seconds(row) {
  const until = row.state === "running" ? Math.max(row.updated_s, now()) : row.ended_s ?? row.updated_s;
  return Math.max(0, until - row.created_s);
}

export function took(row) { return duration(seconds(row)); }

// In the currency of the sites' prices; empty where nothing is counted.
export function price(row) { return row.cost ? money(row.cost) : ""; }

// A bar of done and failed items. <meter> and <progress> say it to screen readers too.
export function bar(row) {
  const element = h("progress", { max: 1, "aria-label": "done" });
  fillBar(element, row);
  return element;
}

export function fillBar(element, row) {
  const all = whole(row), done = row.done + row.failed;
  element.value = all ? Math.min(1, done / all) : row.state === "done" ? 1 : 0;
}

export function jobsTable() {
  const columns = [
    { name: "Name", class: "wide", text: (row) => row.name || row.id, href: (row) => `#/jobs/${encodeURIComponent(row.id)}` },
    { name: "State", text: (row) => row.state, fill: fillState },
    { name: "Progress", text: (row) => (row.done + row.failed) / (whole(row) || 1), fill: fillProgress },
    { name: "Items", class: "number items", number: true, text: items, sort: whole },
    { name: "Out", class: "number", number: true, text: (row) => row.leased ? count(row.leased) : "", sort: (row) => row.leased },
    { name: "Took", class: "number", number: true, text: took, sort: seconds },
    { name: "Cost", class: "number", number: true, text: price, sort: (row) => row.cost ?? 0 },
    { name: "Begun", class: "number", number: true, text: (row) => ago(row.created_s), sort: (row) => row.created_s },
    { name: "Function", class: "wide", text: (row) => row.function },
    { name: "User", text: (row) => row.user },
  ];
  const table = new Table(columns, {
    words: (row) => [row.id, row.name, row.function, row.user, row.state, row.host].join(" "),
    states: STATES, label: "jobs",
    empty: "There are none yet. Jobs with a name are recorded; on a node, all are.",
  });
  table.order = (a, b) => b.created_s - a.created_s;
  return table;
}

export function fillState(element, row) {
  element.className = "state";
  element.setAttribute("data-state", row.state);
  say(element, row.state);
}

function fillProgress(element, row) {
  if (!element.firstChild) element.append(bar(row));
  else fillBar(element.firstChild, row);
}
