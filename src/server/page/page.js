// Keeps an open page true, adds the viewer's own clock, and tells of the day under the pointer. The page says everything
// that matters without it.
"use strict";

const states = { suspect: "suspect", missing: "missing", stale: "stale", provisional: "provisional", final: "final", empty: "empty" };

// The viewer's clock, where it differs from the one that is shown.
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

// Every section that changed is replaced; what was opened stays open, and what has the focus keeps it.
async function refresh() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) throw new Error(answer.statusText);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
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
    const again = document.getElementById(focused.id);
    const target = again && (again.querySelector("summary, a, select") || again);
    if (target) target.focus({ preventScroll: true });
  }
}

function say(words, isLost) {
  const live = document.getElementById("live");
  if (!live) return;
  live.textContent = words;
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
        say("updates by itself", false);
      } catch {
        say("not connected: this is old", true);
      }
    }
    isBusy = false;
  };
  source.addEventListener("hello", () => {
    say("updates by itself", false);
    if (wasLost) update();
    wasLost = false;
  });
  source.addEventListener("changed", update);
  source.addEventListener("error", () => {
    wasLost = true;
    say("not connected: this is old", true);
    // A browser gives up for good when it was refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 10000);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && isOld) update(); });
}

// What is known of the days of a stream, asked once until the page changes.
const days = new Map();

function daysOf(name) {
  if (!days.has(name)) {
    const asked = fetch(`days/${encodeURIComponent(name)}${location.search}`).then((answer) => (answer.ok ? answer.json() : []));
    days.set(name, asked.catch(() => []));
    setTimeout(() => days.delete(name), 15000);
  }
  return days.get(name);
}

function tell(name, cell) {
  if (!cell) return "";
  const scopes = Object.entries(cell.scopes).map(([state, count]) => `${count} ${states[state] || state}`).join(", ");
  const read = cell.read_at ? `, read ${new Date(cell.read_at).toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })}` : "";
  const proof = cell.proofs.length ? `, whole by ${cell.proofs.join(", ").replaceAll("_", " ")}` : "";
  const problem = cell.problem ? `: ${cell.problem}` : "";
  return `${cell.day} ${name}: ${scopes}, ${cell.rows.toLocaleString()} rows${read}${proof}${problem}`;
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
  tip.textContent = tell(name, all[index]);
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
