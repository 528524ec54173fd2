// The list of sites, and what each runs.

import { fill, h, say } from "./dom.js";
import { Table } from "./table.js";
import { ago, count, money, size } from "./words.js";

export function sitesTable(nameOf) {
  const columns = [
    { name: "Site", class: "wide", text: (row) => row.id },
    { name: "State", text: (row) => row.state, fill: (element, row) => {
      element.className = "state";
      element.setAttribute("data-state", row.state);
      say(element, row.silent_since_s ? `silent since ${ago(row.silent_since_s)}` : row.state);
    } },
    { name: "In use", text: (row) => row.cpus - row.free_cpus, fill: fillUse },
    { name: "Cores", class: "number", number: true,
      text: (row) => `${trim(row.cpus - row.free_cpus)} of ${trim(row.cpus)}`, sort: (row) => row.cpus },
    { name: "Memory", class: "number", number: true, text: (row) => row.memory_bytes ? size(row.memory_bytes) : "",
      sort: (row) => row.memory_bytes },
    { name: "Leases", class: "number", number: true, text: (row) => count(row.leases), sort: (row) => row.leases },
    { name: "Runs", class: "wide", text: (row) => runs(row, nameOf), fill: (element, row) => fillRuns(element, row, nameOf) },
    { name: "Region", class: "middle", text: (row) => row.region },
    { name: "An hour", class: "number middle", number: true, text: price, sort: (row) => row.price },
    { name: "Away", class: "number", number: true, text: (row) => row.trip_ms ? `${count(row.trip_ms)} ms` : "",
      sort: (row) => row.trip_ms },
    { name: "Python", text: (row) => row.python },
    { name: "Lets through", class: "middle", text: (row) => row.allow.join(", ") },
  ];
  const table = new Table(columns, {
    words: (row) => [row.id, row.state, row.python, row.region, row.spot ? "spot" : "", runs(row, nameOf)].join(" "),
    states: ["at work", "idle", "silent", "takes part no more"], label: "sites",
    empty: "No site takes part.",
  });
  table.order = (a, b) => (a.id < b.id ? -1 : 1);
  return table;
}

export function machinesTable(nameOf) {
  const columns = [
    { name: "Machine", class: "wide", text: (row) => row.host },
    { name: "State", text: (row) => row.state, fill: (element, row) => {
      element.className = "state";
      element.setAttribute("data-state", row.state);
      say(element, row.state);
    } },
    { name: "In use", text: (row) => row.cpus - row.free_cpus, fill: fillUse },
    { name: "Site", class: "wide", text: (row) => row.site },
    { name: "By", text: (row) => ({ local: "itself", ray: "Ray", link: "a link" })[row.kind] ?? row.kind },
    { name: "Cores", class: "number", number: true,
      text: (row) => `${trim(row.cpus - row.free_cpus)} of ${trim(row.cpus)}`, sort: (row) => row.cpus },
    { name: "GPUs", class: "number", number: true, text: (row) => row.gpus ? trim(row.gpus) : "", sort: (row) => row.gpus },
    { name: "Memory", class: "number", number: true, text: (row) => row.memory_bytes ? size(row.memory_bytes) : "",
      sort: (row) => row.memory_bytes },
    { name: "Runs", class: "wide", text: (row) => runs(row, nameOf), fill: (element, row) => fillRuns(element, row, nameOf) },
  ];
  const table = new Table(columns, {
    words: (row) => [row.host, row.site, row.state, runs(row, nameOf)].join(" "),
    states: ["at work", "idle", "head", "leaving"], label: "machines", empty: "There is none.",
  });
  table.order = (a, b) => (a.id < b.id ? -1 : 1);
  return table;
}

// What an hour of all of it costs, and whether it may be taken away at any time.
function price(row) { return [row.price ? money(row.price) : "", row.spot ? "spot" : ""].join(" ").trim(); }

function trim(number) { return String(Math.round(number * 10) / 10); }

function runs(row, nameOf) { return Object.keys(row.runs).map(nameOf).join(", "); }

function fillUse(element, row) {
  if (!element.firstChild) element.append(h("progress", { max: 1, "aria-label": "in use" }));
  element.firstChild.value = row.cpus ? Math.min(1, Math.max(0, (row.cpus - row.free_cpus) / row.cpus)) : 0;
}

function fillRuns(element, row, nameOf) {
  const words = JSON.stringify(row.runs) + runs(row, nameOf);
  if (element.told === words) return;
  element.told = words;
  const some = Object.entries(row.runs).slice(0, 3), more = Object.keys(row.runs).length - some.length;
  fill(element, some.flatMap(([job, leases], at) => [at ? ", " : "",
    h("a", { href: `#/jobs/${encodeURIComponent(job)}` }, nameOf(job)), leases > 1 ? ` (${count(leases)})` : ""]),
  more > 0 ? ` and ${count(more)} more` : "");
}
