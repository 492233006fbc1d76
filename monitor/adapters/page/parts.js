// The parts of the page that are about the whole process: models, alerts, timeline, streams. Each is a function of the two
// documents of the API, and shows their numbers as they are.
import { NAMED, bars, count, el, number, share, span, spark, time, timeline } from "./draw.js";

export const TASK_METRIC = { binary: "accuracy", multiclass: "accuracy", regression: "mae" };
const WORSE = ["page", "ticket", "info"];
const LOOKS = { page: "bad", ticket: "warn", info: "warn" };

export const empty = (...words) => el("p", { class: "empty" }, ...words);
export const cell = (text, attributes = {}) => el("td", attributes, text);
export const right = (text, title) => el("td", { class: "n", title }, text);

// Whether a window tells this metric: a name from the address may be anything.
export const has = (w, metric) => Object.hasOwn(w.metrics, metric);

export function table(name, caption, heads, rows) {
  return el("div", { class: "wide", id: `${name}-scroll`, tabindex: "0" }, el("table", { id: name }, caption ? el("caption", {}, caption) : null,
    el("thead", {}, el("tr", {}, ...heads.map((h) => el("th", { scope: "col", class: h.startsWith("#") ? "n" : null }, h.replace(/^#/, ""))))),
    el("tbody", {}, ...rows)));
}

export function section(name, title, ...parts) {
  return el("section", { id: name, "aria-labelledby": `${name}-title` }, el("h2", { id: `${name}-title` }, title), ...parts);
}

export const interval = (e) => e.lower === null || e.upper === null ? "" : `${number(e.lower)} to ${number(e.upper)}`;

// Which metric stands for a model: that of its first rule on performance, or what its task is judged by.
export function leading(status, model) {
  const rule = status.thresholds.find((t) => t.model === model.name && t.segment === "all" && !/[:$]/.test(t.metric) && t.metric !== "volume");
  return rule ? rule.metric : TASK_METRIC[model.task] || "volume";
}

export function known(status) {
  const names = new Map(status.models.map((m) => [m.name, m]));
  for (const w of status.windows) if (!names.has(w.key.series.model))
    names.set(w.key.series.model, { task: status.models[0] ? status.models[0].task : "binary", ...status.unlisted, name: w.key.series.model });
  return [...names.values()];
}

// Why no window is there to be shown, and what to do.
export function nothing(status, choice, link) {
  const { model, version, segment, window } = choice;
  if (!known(status).some((m) => m.name === model))
    return empty(`There is no model ${model} here: neither is it configured, nor has a prediction named it. `, el("a", { href: link({ model: "" }) }, "These"), " models are there.");
  if (!status.windows.some((w) => w.key.series.model === model))
    return empty(`No window of ${model} yet: one is told with its first predictions, when the next tick of their event time closes. `, el("code", {}, "driftline check"), " says which windows there will be.");
  return empty(`${model} has windows, but none of ${[version && `version ${version}`, `segment ${segment}`, window && `window ${window}`].filter(Boolean).join(", ")} yet. `,
    el("a", { href: link({ model }) }, "This"), " shows what there is.");
}

export function newest(status, model, metric) {
  const rule = status.thresholds.find((t) => t.model === model && t.metric === metric);
  const any = status.windows.filter((w) => w.key.series.model === model && w.key.series.segment === "all" && has(w, metric));
  const ruled = rule ? any.filter((w) => w.key.window === rule.window) : [], own = ruled.length ? ruled : any;
  return own.sort((a, b) => a.key.end_ms - b.key.end_ms || (a.key.series.version < b.key.series.version ? -1 : 1)).pop();
}

export function verdict(status, model) {
  const own = status.alerts.filter((a) => a.series.model === model && a.state === "firing");
  const worst = WORSE.find((s) => own.some((a) => a.severity === s));
  if (worst) return el("span", { class: LOOKS[worst] }, `▲ ${own.length} ${own.length === 1 ? "alert" : "alerts"}, ${worst}`);
  if (!status.windows.some((w) => w.key.series.model === model)) return el("span", { class: "soft" }, "no numbers yet");
  if (!status.thresholds.some((t) => t.model === model)) return el("span", { class: "soft" }, "no rule watches it");
  return el("span", { class: "good" }, "● no alert");
}

export function models(status, past, choice, link) {
  const rows = known(status).map((m, i) => {
    const metric = leading(status, m), w = newest(status, m.name, metric), e = w && w.metrics[metric];
    const points = w ? past.windows.filter((p) => p.kind === w.kind && p.key.window === w.key.window && p.key.series.model === m.name
      && p.key.series.version === w.key.series.version && p.key.series.segment === "all" && has(p, metric))
      .map((p) => ({ at: p.key.end_ms, value: p.metrics[metric].value })) : [];
    const worst = status.alerts.filter((a) => a.series.model === m.name).sort((a, b) => WORSE.indexOf(a.severity) - WORSE.indexOf(b.severity))[0];
    return el("tr", { "data-model": m.name, "aria-current": m.name === choice.model ? "true" : null },
      cell(el("a", { href: link({ model: m.name }) }, `${i < 9 ? `${i + 1} ` : ""}${m.name}`)), cell(verdict(status, m.name)), cell(m.task),
      cell(metric), cell(points.length ? spark(points, `${metric} of ${m.name}, ${points.length} windows`) : el("span", { class: "soft" }, "–")),
      right(e ? number(e.value) : "–", e && e.undefined), cell(e ? interval(e) : ""), right(w ? share(w.labelled, w.seen) : "–"),
      cell(w ? `${w.key.series.version}, ${w.key.window} to ${time(w.key.end_ms)}` : ""), cell(worst ? worst.rule : "", { class: "free" }));
  });
  return section("models", "Models", rows.length
    ? table("models-table", null, ["model", "verdict", "task", "metric", "lately", "#value", "95 %", "#labelled", "version, window", "worst signal"], rows)
    : empty("No model is configured and none was met. Name one under ", el("code", {}, "models"), ", or let ", el("code", {}, "unlisted_models"), " take in what comes."));
}

export function alerts(status, link) {
  const rows = status.alerts.map((a) => el("tr", {},
    cell(el("span", { class: LOOKS[a.severity] }, a.severity)), cell(a.rule),
    cell(a.series.model ? el("a", { href: link({ model: a.series.model, version: a.series.version, segment: a.series.segment, window: a.window || undefined,
      metric: a.metric && !a.metric.includes(",") ? a.metric : undefined }) },
      `${a.series.model} ${a.series.version}, ${a.series.segment}`) : a.series.segment),
    cell(a.window), cell(a.metric), right(number(a.value)), cell(a.op ? `fires when ${a.op} ${number(a.threshold)}` : ""), right(a.rows ? count(a.rows) : ""), cell(time(a.since_ms)), cell(a.state)));
  return section("alerts", "Alerts now", rows.length
    ? table("alerts-table", null, ["severity", "rule", "series", "window", "metric", "#value", "limit", "#rows", "since", "state"], rows)
    : empty(status.rules.length ? "Nothing fires." : "Nothing fires, and no rule is set: write some under ", status.rules.length ? null : el("code", {}, "rules"), status.rules.length ? null : "."));
}

const short = (h) => `${h.what} ${h.rule}${h.series.segment && h.series.segment !== "all" ? `, ${h.series.segment}` : ""}${h.metric ? `: ${h.metric} ${number(h.value)}` : ""}, ${time(h.at_ms)}`;

export function story(past, choice) {
  const own = past.happenings, spans = past.versions.filter((v) => v.model === choice.model);
  const rules = [...new Set(own.filter((h) => h.lane === "alert").map((h) => h.rule))].sort();
  const lanes = [...spans.map((v) => ({ name: `version ${v.version}`, spans: [{ from: v.from_ms, until: v.until_ms, title: `${v.version}: ${time(v.from_ms)} to ${time(v.until_ms)}` }], marks: [] })),
    ...rules.map((rule) => ({ name: rule, spans: [], marks: own.filter((h) => h.lane === "alert" && h.rule === rule).map((h) => ({ at: h.at_ms, what: h.what, title: short(h) })) })),
    ...(own.some((h) => h.lane === "configuration") ? [{ name: "configuration", spans: [], marks: own.filter((h) => h.lane === "configuration")
      .map((h) => ({ at: h.at_ms, what: "use", title: `configuration ${h.generation} in use, ${time(h.at_ms)}` })) }] : [])];
  if (!lanes.length) return section("timeline", "What happened", empty("Nothing yet: versions come with the first predictions, alerts with the first rule that breaks."));
  const times = [...spans.flatMap((v) => [v.from_ms, v.until_ms]), ...own.map((h) => h.at_ms).filter((at) => at > 0)];
  const rows = own.slice(-20).reverse().map((h) => el("tr", {}, cell(time(h.at_ms)), cell(h.lane), cell(h.what), cell(h.generation === null ? h.rule : `generation ${h.generation}`), cell(h.severity),
    cell(h.series.model ? `${h.series.model} ${h.series.version}, ${h.series.segment}` : h.series.segment), cell(h.metric), right(h.value === null ? "" : number(h.value))));
  return section("timeline", "What happened", el("figure", { class: "wide", id: "timeline-scroll", tabindex: "0" }, timeline(lanes, Math.min(...times), Math.max(...times), `Versions, alerts and configurations of ${choice.model}`)),
    el("p", { class: "soft" }, `${NAMED}. Since this process began to look. Runs of retraining are told by `, el("code", {}, "driftline retrain list"), ".",
      past.left_out ? ` ${count(past.left_out)} series found no room in the past that is kept here.` : ""),
    rows.length ? table("timeline-table", "The last of them, newest first", ["at", "lane", "what", "rule", "severity", "series", "metric", "#value"], rows) : null);
}

// Retention by size has no time to tell: records before the oldest that is needed are all that is known then.
function room({ records, left_ms, kept_ms }) {
  const before = `${count(records)} records`;
  if (left_ms !== null) return `${before}, ${span(left_ms)}`;
  if (kept_ms === null) return records ? `no limit of time, ${before}` : "no limit of time";
  return "no record is needed";
}

export function streams(status) {
  const rows = status.partitions.flatMap((p) => [["predictions", p.predictions], ["labels", p.labels]].filter(([, s]) => s).map(([name, s]) => {
    const lag = s.end === null ? null : Math.max(0, s.end - s.position);
    const state = s.stalled ? "stalled" : s.idle ? "idle" : p.state;
    return el("tr", {}, right(String(p.partition)), cell(s.topic || name), cell(el("span", { class: state === "live" ? "good" : state === "idle" ? "soft" : "bad" }, state)),
      right(count(s.position)), right(count(s.end)), right(count(lag)), cell(time(s.tick_ms)), cell(time(s.finality_ms)), right(count(s.pending_rows)),
      cell(s.headroom ? room(s.headroom) : ""));
  }));
  const c = status.counters, faults = [];
  for (const [topic, reasons] of Object.entries(c.rejected)) for (const [reason, n] of Object.entries(reasons)) faults.push([topic, `rejected: ${reason}`, n]);
  for (const [topic, forms] of Object.entries(c.dead_letters)) for (const [form, n] of Object.entries(forms)) faults.push([topic, `dead letter: ${form}`, n]);
  for (const [topic, n] of Object.entries(c.lost)) faults.push([topic, "lost offsets", n]);
  for (const [feature, n] of Object.entries(c.feature_faults)) faults.push([feature, "unusable values of the feature", n]);
  const held = status.partitions.reduce((sum, p) => sum + p.state_rows, 0), full = status.partitions.filter((p) => p.state === "full").length;
  return section("streams", "Streams",
    rows.length ? table("streams-table", null, ["#partition", "topic", "state", "#position", "#end", "#lag", "read to", "settled to", "#waiting", "room until retention"], rows)
      : empty("This process owns no partition, which is normal: there are more processes than partitions, or it has just started. ", el("code", {}, "/readyz?verbose"), " says which."),
    el("p", { id: "state" }, `${count(held)} of ${count(status.state_limit_rows)} rows held (${share(held, status.state_limit_rows)}). `,
      full ? el("span", { class: "bad" }, `${full} partitions are full: reading waits. Raise state.max_rows, or add processes. `) : "",
      status.rebuild ? `Partition ${status.rebuild.partition} is being opened: ${share(status.rebuild.done, status.rebuild.rows)}, about ${span(status.rebuild.left_ms)} left. ` : "",
      `Read since the start: ${Object.entries(c.consumed).map(([t, n]) => `${t} ${count(n)}`).join(", ") || "nothing"}. Commits: ${Object.entries(c.commits).map(([r, n]) => `${n} ${r}`).join(", ") || "none"}.`),
    ...status.health.stuck.map((s) => el("p", { class: "bad" }, s)), status.health.unanswered ? el("p", { class: "bad" }, `The log does not answer: ${status.health.unanswered}`) : null,
    faults.length ? table("faults-table", "What could not be used since the start", ["where", "what", "#records"], faults.map(([w, k, n]) => el("tr", {}, cell(w), cell(k), right(count(n)))))
      : el("p", { class: "soft" }, "No record was rejected since the start."));
}

export const spread = (d) => el("div", { class: "spread", "data-feature": d.feature }, el("h3", {}, d.feature === "$score" ? "scores" : d.feature),
  bars(d.bars, `${d.feature}: ${d.bars.map((b) => `${b.name} ${b.reference} in the reference, ${b.current} now`).join("; ")}`));
