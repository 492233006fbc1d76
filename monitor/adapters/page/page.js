// State, polling, keys. The address holds what is chosen, so a link shows the same; nothing is stored but the token, in the tab.
import { el, span, time } from "./draw.js";
import { alerts, empty, known, leading, models, newest, section, story, streams } from "./parts.js";
import { drift, labels, metrics, segments } from "./model.js";

const EVERY_MS = 2000, STALE_MS = 15000, NAMES = ["model", "version", "segment", "window", "metric"];
const main = document.getElementById("main"), standing = document.getElementById("standing"), about = document.getElementById("about"), unlock = document.getElementById("unlock");
let status = null, past = null, drawn = "", still = false, timer = 0, asked = 0;

const wanted = () => Object.fromEntries([...new URLSearchParams(location.hash.slice(1))].filter(([k, v]) => NAMES.includes(k) && v));
function link(change) {
  const next = new URLSearchParams();
  const all = { ...(change.model === undefined ? wanted() : {}), ...change };
  for (const name of NAMES) if (all[name]) next.set(name, all[name]);
  return `#${next}`;
}

// What is shown: what the address says, else what is newest.
function choose(status) {
  const w = wanted(), list = known(status), model = list.find((m) => m.name === w.model) || (w.model ? { name: w.model, task: "", features: [] } : list.find((m) => status.windows.some((x) => x.key.series.model === m.name)) || list[0]);
  if (!model) return { model: "" };
  const lead = leading(status, model), last = newest(status, model.name, w.metric || lead) || status.windows.filter((x) => x.key.series.model === model.name).pop();
  const version = w.version || (last ? last.key.series.version : ""), segment = w.segment || "all";
  const window = w.window || (last ? last.key.window : "");
  const there = status.windows.filter((x) => x.key.series.model === model.name && x.key.series.version === version && x.key.series.segment === segment && x.key.window === window).flatMap((x) => Object.keys(x.metrics));
  return { model: model.name, version, segment, window, metric: w.metric || (there.includes(lead) || !there.length ? lead : there[0]) };
}

function choices(choice) {
  const mine = status.windows.filter((w) => w.key.series.model === choice.model), of = (f, list = mine) => [...new Set(list.map(f))].sort();
  const options = { version: of((w) => w.key.series.version), segment: of((w) => w.key.series.segment, mine.filter((w) => w.key.series.version === choice.version)), window: of((w) => w.key.window),
    metric: [...new Set(mine.filter((w) => w.key.series.version === choice.version && w.key.window === choice.window).flatMap((w) => Object.keys(w.metrics)))] };
  return el("div", { class: "choices" }, ...Object.entries(options).map(([name, list]) => el("label", {}, `${name} `, el("select", { id: `choose-${name}`, onchange: (e) => { location.hash = link({ ...choose(status), [name]: e.target.value }); } },
    ...(list.length || choice[name] ? [] : [el("option", { value: "", disabled: true, selected: true }, "none yet")]), ...(list.includes(choice[name]) || !choice[name] ? list : [choice[name], ...list]).map((value) => el("option", { value, selected: value === choice[name] }, value))))));
}

// Only a change of what fires is read out; what goes on by itself every second is not.
function say(place, ...parts) {
  const now = el("span", {}, ...parts);
  if (place.textContent !== now.textContent) place.replaceChildren(now);
}

function header() {
  const age = Date.now() - status.at_ms, firing = status.alerts.filter((a) => a.state === "firing").length;
  say(standing, firing ? el("span", { class: "bad" }, `▲ ${firing} ${firing === 1 ? "alert fires" : "alerts fire"}`) : el("span", { class: "good" }, "● nothing fires"));
  say(about, ` · ${status.namespace} · numbers as of ${time(status.evaluator.tick_ms)}`, ` · release ${status.build.release} · configuration ${status.config_digest.slice(7, 19)}`,
    age > STALE_MS ? el("span", { class: "warn" }, ` · this is ${span(age)} old`) : "", still ? el("span", { class: "warn" }, " · held still") : "",
    !status.evaluator.active && status.windows.length ? el("span", { class: "warn" }, " · this process is not the evaluator now: windows and alerts stand still here") : "");
}

function draw() {
  const choice = choose(status);
  document.title = `${choice.model || "Driftline"} – Driftline`;
  header();
  const parts = [models(status, past, choice, link)];
  if (!status.evaluator.active && !status.windows.length) parts.push(section("elsewhere", "Numbers", empty("This process is not the evaluator: windows and alerts are with the one that is, and this page there. ",
    el("code", {}, "driftline_evaluator_active"), " of /metrics is 1 there; with a single process, wait for its first tick.")));
  else {
    parts.push(alerts(status, link));
    if (choice.model) parts.push(el("h2", {}, choice.model), choices(choice), metrics(status, past, choice, link), segments(status, choice, link), drift(status, past, choice, link), labels(status, past, choice, link), story(past, choice));
  }
  renew([...parts, streams(status)], JSON.stringify(choice));
  document.documentElement.dataset.drawn = String(status.at_ms);
}

// Parts that are as they were stay: what is selected, scrolled, opened or has the focus in them is left alone. Those that
// differ get it back.
function renew(parts, choice) {
  const scrolled = new Map([...main.querySelectorAll(".wide")].map((wide) => [wide.id, wide.scrollLeft]));
  const focus = document.activeElement && (document.activeElement.id || document.activeElement.getAttribute("href"));
  const list = choice === drawn && main.querySelector("select:focus");  // an open list must not vanish under the hand
  drawn = choice;
  parts.forEach((part, i) => {
    for (const fold of part.querySelectorAll("details")) { const was = document.getElementById(fold.id); if (was) fold.open = was.open; }
    const old = main.children[i];
    if (!old) main.append(part);
    else if (!old.isEqualNode(part) && !(list && part.className === "choices" && old.contains(list))) old.replaceWith(part);
  });
  while (main.children.length > parts.length) main.lastElementChild.remove();
  for (const wide of main.querySelectorAll(".wide")) if (wide.scrollLeft !== (scrolled.get(wide.id) || 0)) wide.scrollLeft = scrolled.get(wide.id);
  const again = focus && (document.getElementById(focus) || [...main.querySelectorAll("a")].find((a) => a.getAttribute("href") === focus));
  if (again && again !== document.activeElement) again.focus({ preventScroll: true });
}

class Locked extends Error {}
class Busy extends Error {}

async function ask(path) {
  const token = sessionStorage.getItem("token");
  const answer = await fetch(`../api/v1/${path}`, { headers: token ? { authorization: `Bearer ${token}` } : {}, cache: "no-store" });
  if (answer.status === 401) throw new Locked();
  if (answer.status === 503) throw new Busy();
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer.json();
}

async function history(now) {
  const choice = choose(now), leads = new Set(known(now).map((m) => leading(now, m))), sparks = new URLSearchParams({ segment: "all" });
  for (const metric of leads) sparks.append("metric", metric);
  const [all, mine] = await Promise.all([ask(`history?${sparks}`), choice.model ? ask(`history?${new URLSearchParams(Object.entries({ model: choice.model, version: choice.version, segment: choice.segment, window: choice.window }).filter(([, v]) => v))}`) : { windows: [], distributions: [], delays: {} }]);
  // Distributions are of all rows: those of another segment are asked for with it.
  const shapes = choice.segment === "all" || !choice.model ? mine.distributions : all.distributions;
  const same = (w) => `${JSON.stringify(w.key)}${w.kind}`, known_ = new Set(mine.windows.map(same));
  return { ...all, windows: [...mine.windows, ...all.windows.filter((w) => !known_.has(same(w)))], distributions: shapes, delays: { ...all.delays, ...mine.delays },
    happenings: all.happenings.filter((h) => !h.series.model || h.series.model === choice.model) };
}

function lock() {
  const opens = unlock.hidden;
  unlock.hidden = false;
  main.replaceChildren();
  sessionStorage.removeItem("token");
  if (opens) document.getElementById("token").focus();
  say(standing, "locked");
  say(about, "");
}

async function turn() {
  clearTimeout(timer);
  const number = ++asked;
  try {
    const now = await ask("status"), before = await history(now);
    if (number !== asked) return;
    [status, past] = [now, before];
    unlock.hidden = true;
    draw();
  } catch (error) {
    if (number !== asked) return;
    if (error instanceof Locked) lock();
    else if (!(error instanceof Busy)) {
      say(standing, el("span", { class: "bad" }, `The daemon does not answer (${error.message})`));
      say(about, status ? `; what is below is of ${time(status.at_ms)}, ${span(Date.now() - status.at_ms)} ago` : "");
    }
  }
  if (!still && !document.hidden) timer = setTimeout(turn, EVERY_MS);
}

unlock.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", document.getElementById("token").value.trim().replace(/[^!-~]/g, "?"));  // no header could carry it, and no token is so
  document.getElementById("token").value = "";
  turn();
});
addEventListener("hashchange", turn);
document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA)$/.test(event.target.tagName) || !status) return;
  const jump = { v: "version", s: "segment", w: "window", m: "metric" }[event.key], model = known(status)[Number(event.key) - 1];
  const place = jump && document.getElementById(`choose-${jump}`), inList = event.target.tagName === "SELECT";
  if (place && place !== event.target) { event.preventDefault(); place.focus(); }
  else if (inList) { if (event.key === "Escape") event.target.blur(); }  // other keys look for a value in the list
  else if (model) location.hash = link({ model: model.name });
  else if (event.key === "p") { still = !still; turn(); }
});
turn();
