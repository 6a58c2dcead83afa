// Updates an open page, adds the viewer's local time, and describes the day under the pointer. The page is complete without it.
"use strict";

// The viewer's local time, if it differs from the shown one.
function addClocks(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const own = at.toLocaleString(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
    time.title = own;
    if (!time.closest("#jobs")) continue;
    const shown = time.textContent.match(/\d\d:\d\d/);
    const clock = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
    if (!shown || shown[0] === clock) continue;
    const viewer = document.createElement("span");
    viewer.className = "viewer";
    viewer.textContent = ` (${clock} yours)`;
    time.after(viewer);
  }
}

// Replaces sections that changed. Open details stay open, and the focused element keeps the focus.
async function refresh() {
  const response = await fetch(location.href, { cache: "no-store" });
  if (!response.ok) throw new Error(response.statusText);
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  addClocks(next);
  const opened = new Map([...document.querySelectorAll("details[id]")].map((details) => [details.id, details.open]));
  const focused = document.activeElement && document.activeElement.closest("[id]");
  document.title = next.title;
  for (const details of next.querySelectorAll("details[id]")) {
    if (opened.has(details.id)) details.open = opened.get(details.id);
  }
  for (const name of ["main", "footer"]) {
    const [before, after] = [document.querySelector(name), next.querySelector(name)];
    const known = new Map([...before.children].map((child) => [child.id, child]));
    const wanted = [...after.children].map((child) => {
      const old = known.get(child.id);
      const isSame = old && (old.isEqualNode(child) || (focused && old.contains(focused) && old.querySelector("select:focus")));
      return isSame ? old : document.importNode(child, true);
    });
    before.replaceChildren(...wanted);
  }
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
  const scopes = Object.entries(cell.scopes).map(([status, count]) => `${count} ${status.replaceAll("_", " ")}`).join(", ");
  const extracted = cell.extracted_at ? `, extracted ${new Date(cell.extracted_at).toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })}` : "";
  const proof = cell.proofs.length ? `, proof: ${cell.proofs.join(", ").replaceAll("_", " ")}` : "";
  const problem = cell.problem ? `: ${cell.problem}` : "";
  return `${cell.day} ${name}: ${scopes}, ${cell.rows.toLocaleString()} rows${extracted}${proof}${problem}`;
}

let pointed = 0;

async function point(event) {
  const tip = document.querySelector(".tip");
  const strip = event.target.closest && event.target.closest(".rows > li > svg:not(.sign)");
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
  document.addEventListener("change", (event) => { if (event.target.id === "category") event.target.form.requestSubmit(); });
  listen();
}
