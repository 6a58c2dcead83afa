// Updates an open page, adds the viewer's local time, and describes the day under the pointer. The page is complete without it.
"use strict";

// The viewer's local time, if it differs from the shown one.
function addClocks(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const own = at.toLocaleString(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
    time.title = own;
    if (!time.closest("#jobs, .facts")) continue;
    const shown = time.textContent.match(/\d\d:\d\d/);
    const clock = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
    if (!shown || shown[0] === clock) continue;
    const viewer = document.createElement("span");
    viewer.className = "viewer";
    viewer.textContent = `(${clock} yours)`;
    time.after(" ", viewer);
  }
}

// Replaces sections that changed. Open details stay open, and the focused element keeps the focus. With another filter, the page decides
// which families are open.
async function refresh(isFiltered) {
  const response = await fetch(location.href, { cache: "no-store" });
  if (!response.ok) throw new Error(response.statusText);
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  addClocks(next);
  const opened = new Map([...document.querySelectorAll("details[id]")].map((details) => [details.id, details.open]));
  const focused = document.activeElement && document.activeElement.closest("[id]");
  document.title = next.title;
  for (const details of next.querySelectorAll("details[id]")) {
    if (opened.has(details.id) && !(isFiltered && details.closest("#streams"))) details.open = opened.get(details.id);
  }
  for (const name of ["main", "footer"]) {
    const [before, after] = [document.querySelector(name), next.querySelector(name)];
    const known = new Map([...before.children].map((child) => [child.id, child]));
    const wanted = [...after.children].map((child) => {
      const old = known.get(child.id);
      const isSame = old && (old.isEqualNode(child) || old.querySelector("select:focus, input:focus"));
      return isSame ? old : document.importNode(child, true);
    });
    // What stays is not moved: an element that is taken out for a moment loses the focus.
    for (const child of [...before.children]) if (!wanted.includes(child)) child.remove();
    wanted.forEach((child, place) => {
      if (before.children[place] !== child) before.insertBefore(child, before.children[place] || null);
    });
  }
  // The section with the field in use stays, and its number follows.
  const [matches, nextMatches] = [document.getElementById("matches"), next.getElementById("matches")];
  if (matches && nextMatches && matches.textContent !== nextMatches.textContent) matches.textContent = nextMatches.textContent;
  if (focused && !document.contains(focused)) {
    const replaced = document.getElementById(focused.id);
    const target = replaced && (replaced.querySelector("summary, a, select") || replaced);
    if (target) target.focus({ preventScroll: true });
  }
}

function showConnection(text, isLost) {
  const live = document.getElementById("live");
  if (!live) return;
  live.textContent = text;
  live.classList.toggle("lost", isLost);
}

const isIndex = document.getElementById("headline") !== null;

function listen() {
  const source = new EventSource("events");
  let wasLost = false;
  let isBusy = false;
  let isOld = false;
  const update = async () => {
    isOld = true;
    if (isBusy || document.hidden) return;
    isBusy = true;
    while (isOld) {
      isOld = false;
      try {
        await refresh();
        showConnection("updates automatically", false);
      } catch {
        showConnection("not connected, data may be outdated", true);
      }
    }
    isBusy = false;
  };
  source.addEventListener("hello", () => {
    showConnection("updates automatically", false);
    if (wasLost) update();
    wasLost = false;
  });
  source.addEventListener("changed", update);
  source.addEventListener("error", () => {
    wasLost = true;
    showConnection("not connected, data may be outdated", true);
    // Browsers do not retry after an error response.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 10000);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && isOld) update(); });
}

// Applies the filter while it is edited. The address has it, so that it can be shared and outlives a reload.
let filtering = 0;

function applyFilter(form) {
  clearTimeout(filtering);
  filtering = setTimeout(async () => {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
    days.clear();
    try {
      await refresh(true);
    } catch {
      showConnection("not connected, data may be outdated", true);
    }
  }, 150);
}

// The days of each stream, cached for 15 seconds.
const days = new Map();

function daysOf(name) {
  if (!days.has(name)) {
    const request = fetch(`days/${encodeURIComponent(name)}${location.search}`).then((response) => (response.ok ? response.json() : []));
    days.set(name, request.catch(() => []));
    setTimeout(() => days.delete(name), 15000);
  }
  return days.get(name);
}

function describe(name, cell) {
  if (!cell) return "";
  const all = Object.values(cell.scopes).reduce((sum, count) => sum + count, 0);
  const words = (status, count) => (all === 1 ? status : `${count} of ${all} scopes ${status}`).replaceAll("_", " ");
  const scopes = Object.entries(cell.scopes).map(([status, count]) => words(status, count)).join(", ");
  const extracted = cell.extracted_at ? `, extracted ${new Date(cell.extracted_at).toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })}` : "";
  const proof = cell.proofs.length ? `, proof: ${cell.proofs.join(", ").replaceAll("_", " ")}` : "";
  const problem = cell.problem ? `: ${cell.problem.replaceAll("`", "")}` : "";
  return `${cell.day} ${name}: ${scopes}, ${cell.rows.toLocaleString()} rows${extracted}${proof}${problem}`;
}

let pointed = 0;

async function point(event) {
  const tip = document.querySelector(".tip");
  const strip = event.target.closest && event.target.closest("#streams .rows > li > svg:not(.sign)");
  const turn = ++pointed;
  if (!strip) {
    tip.textContent = "";
    return;
  }
  const box = strip.getBoundingClientRect();
  const name = strip.parentElement.firstElementChild.textContent;
  const all = await daysOf(name);
  if (turn !== pointed) return;
  const index = Math.floor(((event.clientX - box.left) / box.width) * all.length);
  tip.textContent = describe(name, all[index]);
}

addClocks(document);
if (isIndex) {
  const tip = document.createElement("output");
  tip.className = "tip";
  document.body.append(tip);
  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);
  document.addEventListener("input", (event) => { if (event.target.form && event.target.form.id === "filter") applyFilter(event.target.form); });
  document.addEventListener("submit", (event) => { if (event.target.id === "filter") { event.preventDefault(); applyFilter(event.target); } });
  listen();
}
