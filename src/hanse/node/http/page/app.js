// The page: lets itself in, keeps the lists up to date, shows what the address names.

import { ask, enter, follow, isIn, leave, onRefused } from "./asking.js";
import { h, say } from "./dom.js";
import { JobView } from "./job.js";
import { jobsTable } from "./jobs.js";
import { machinesTable, sitesTable } from "./sites.js";
import { itIsNow } from "./words.js";

const $ = (id) => document.getElementById(id);
const nameOf = (id) => jobs.rows.get(id)?.name || id;
const jobs = jobsTable(), sites = sitesTable(nameOf), machines = machinesTable(nameOf);
let view = null, about = null, listening = null;

// --- light and dark ---------------------------------------------------------------------------------
const THEMES = ["system", "light", "dark"];

function theme(name) {
  localStorage.setItem("hanse-theme", name);
  if (name === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", name);
  say($("theme"), `Theme: ${name}`);
  dispatchEvent(new Event("hanse-theme"));
}

$("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(localStorage.getItem("hanse-theme")) + 1) % 3]));
theme(THEMES.includes(localStorage.getItem("hanse-theme")) ? localStorage.getItem("hanse-theme") : "system");

const PLACES = { jobs: "Jobs", sites: "Sites", machines: "Machines" };

// --- what is shown ------------------------------------------------------------------------------------
function show() {
  if (location.hash.startsWith("#code=")) { come(location.hash); return; }
  const [, place = "jobs", id, part] = location.hash.split("/").map(decode);
  view?.close?.();
  view = null;
  if (!isIn()) { signIn(); return; }
  for (const link of $("nav").children) {
    if (link.dataset.place === place) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (place === "jobs" && id) {
    view = new JobView(id, part ?? "");
    view.take(jobs.rows.get(id));
  } else if (place === "sites") view = { element: sites.element };
  else if (place === "machines") view = { element: machines.element };
  else view = { element: jobs.element };
  $("main").replaceChildren(view.element);
  document.title = `${view.row?.name ?? (id ?? PLACES[place] ?? "Jobs")} - Hanse`;
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

// --- coming in ----------------------------------------------------------------------------------------
async function come(words) {
  history.replaceState(null, "", location.pathname); // the code is used up, and nobody's business
  try {
    await enter(words);
    await begin();
  } catch (error) { leave(); signIn(error.message); }
}

function signIn(trouble = "") {
  listening?.abort();
  listening = null;
  const input = h("input", { type: "text", id: "code", autocomplete: "off", spellcheck: "false", required: true });
  $("nav").replaceChildren();
  say($("status"), "");
  $("main").replaceChildren(h("section", { class: "card", "aria-labelledby": "enter" },
    h("h1", { id: "enter" }, "Hanse"),
    h("p", {}, "Run ", h("code", {}, "hanse dash"), " where your programs run: it opens this page, and lets this browser look for twelve hours."),
    h("p", {}, "Or run ", h("code", {}, "hanse dash --no-open"), " and put what it prints here:"),
    h("form", { onsubmit: (event) => { event.preventDefault(); come(input.value); } },
      h("label", { for: "code" }, "Address or code "), input, " ", h("button", {}, "Look")),
    trouble ? h("p", { class: "trouble", role: "alert" }, trouble) : null));
}

async function begin() {
  about = await ask("/dash/about");
  say($("who"), `${about.name}${about.region ? ` in ${about.region}` : ""}, ${about.version}`);
  const places = about.kind === "node" ? PLACES : { jobs: "Jobs" };
  $("nav").replaceChildren(...Object.entries(places).map(([place, words]) => h("a", { href: `#/${place}`, "data-place": place }, words)),
    h("button", { type: "button", onclick: () => { leave(); location.hash = ""; signIn(); } }, "Leave"));
  listening?.abort();
  listening = new AbortController();
  follow("/dash/events?follow=1", {
    begin() {},
    clock(told) { itIsNow(told.now_s); },
    jobs(changes) { jobs.take(changes); if (view instanceof JobView) view.take(jobs.rows.get(view.id)); },
    sites(changes) { sites.take(changes); },
    machines(changes) { machines.take(changes); },
    trouble(told) { status(told.words ? "trouble" : "live", told.words); },
  }, status, listening.signal);
  show();
}

function status(name, words = "") {
  $("status").setAttribute("data-state", name);
  say($("status"), { live: "live", lost: "The connection is lost; trying again", trouble: words }[name]);
}

// --- keys -----------------------------------------------------------------------------------------------
addEventListener("keydown", (event) => {
  if (event.target.matches?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const filter = document.getElementById("filter");
    if (filter) { event.preventDefault(); filter.focus(); }
  }
});
$("skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
addEventListener("hashchange", show);
setInterval(() => { if (!document.hidden) { jobs.again(); sites.again(); machines.again(); } }, 10_000); // "5 min ago" grows old
onRefused(() => signIn("This browser may look no longer: run hanse dash again."));
if (location.hash.startsWith("#code=")) come(location.hash);
else if (isIn()) begin().catch((error) => { signIn(error.message); });
else signIn();
