// One model: its metrics over time, segments, drift and labels.
import { NAMED, count, delayCurve, el, heatmap, metricChart, number, share, span, time } from "./draw.js";
import { cell, empty, has, interval, known, nothing, right, section, spread, table } from "./parts.js";

const DISTANCES = ["psi", "psi_corrected", "ks", "js", "hellinger", "tvd", "linf", "chi_square", "wasserstein"];
const LATER = "still waits for labels that may change it";
const of = (metric) => metric.split(":")[0];
const isDrift = (metric) => metric.includes(":") && !/^(recall|precision|f1|roc_auc|unlabelled|completed|bounds)$/.test(of(metric));

export const own = (windows, choice) => windows.filter((w) => w.key.series.model === choice.model && w.key.series.version === choice.version
  && w.key.series.segment === choice.segment && w.key.window === choice.window);

const broken = (t, value) => value !== null && (t.direction === "min" ? value < t.threshold : value > t.threshold);
const limitsOf = (status, choice, metric, segment = choice.segment) => status.thresholds.filter((t) => t.model === choice.model && t.segment === segment
  && t.window === choice.window && t.metric === metric);

export function metrics(status, past, choice, link) {
  const windows = own(status.windows, choice);
  if (!windows.length) return section("metrics", "Metrics", nothing(status, choice, link));
  const rows = windows.flatMap((w) => Object.entries(w.metrics).filter(([name]) => !isDrift(name)).map(([name, e]) => {
    const limits = limitsOf(status, choice, name), over = limits.filter((t) => broken(t, e.value));
    return el("tr", { "data-metric": name, "aria-current": name === choice.metric ? "true" : null }, cell(el("a", { href: link({ metric: name }) }, name)),
      right(e.value === null ? e.undefined.replaceAll("_", " ") : number(e.value)), cell(interval(e)), right(count(e.rows)),
      cell(limits.map((t) => `${t.rule}: ${t.direction === "min" ? "at least" : "at most"} ${number(t.threshold)}`).join("; "), { class: "free" }),
      cell(over.length ? el("span", { class: "bad" }, "▲ beyond") : limits.length ? el("span", { class: "good" }, "● within") : ""));
  }));
  const about = windows.map((w) => el("p", { class: "about", "data-kind": w.kind }, `${w.kind}: ${w.key.window}, ${time(w.key.start_ms)} to ${time(w.key.end_ms)}, revision ${w.revision}, ${w.final ? "final" : LATER}. `
    + `${count(w.seen)} predictions${w.kind === "performance" ? `, ${count(w.labelled)} labelled (${share(w.labelled, w.seen)})` : ""}. `,
    w.partial ? el("span", { class: "bad" }, "Records that belong here may be lost. ") : "", Object.keys(w.counts).length && w.kind === "performance" ? `Counts: ${Object.entries(w.counts).map(([k, n]) => `${k} ${count(n)}`).join(", ")}.` : ""));
  return section("metrics", "Metrics", chart(status, past, choice), ...about, table("metrics-table", null, ["metric", "#value", "95 %", "#rows", "limits", "standing"], rows));
}

function chart(status, past, choice) {
  const windows = own(past.windows, choice).filter((w) => has(w, choice.metric));
  if (!windows.length) return empty(`No history of ${choice.metric} yet: it grows while this process looks, and begins anew when it restarts.`);
  const points = windows.map((w) => { const e = w.metrics[choice.metric];
    return { at: (w.key.start_ms + w.key.end_ms) / 2, from: w.key.start_ms, until: w.key.end_ms, value: e.value, lower: e.lower, upper: e.upper, final: w.final, coverage: w.seen ? w.labelled / w.seen : null,
      title: `${time(w.key.start_ms)} to ${time(w.key.end_ms)}: ${e.value === null ? e.undefined : number(e.value)} (${interval(e)}), ${count(e.rows)} rows, ${share(w.labelled, w.seen)} labelled, ${w.final ? "final" : LATER}` }; });
  const limits = limitsOf(status, choice, choice.metric).map((t) => ({ ...t, title: `${t.rule}: ${t.threshold}` }));
  const marks = past.happenings.filter((h) => h.series.model === choice.model && h.series.version === choice.version && h.series.segment === choice.segment && (!h.metric || h.metric === choice.metric))
    .map((h) => ({ at: h.at_ms, what: h.what, title: `${h.what}: ${h.rule}, ${time(h.at_ms)}` }));
  return el("figure", {}, el("div", { class: "wide", id: "metric-scroll", tabindex: "0" }, metricChart(points, limits, marks, `${choice.metric} of ${choice.model} ${choice.version}, ${choice.segment}, ${windows.length} windows of ${choice.window}`)),
    el("figcaption", { class: "soft" }, `${choice.metric}, ${choice.segment}: full dots are final, rings may still change; bars below show the share that has labels; alerts: ${NAMED}.`),
    el("details", { id: "values" }, el("summary", { id: "values-summary" }, `The same ${windows.length} windows as a table`), table("values-table", null,
      ["window", "#value", "95 %", "#rows", "#predictions", "#labelled", ""], [...windows].reverse().map((w) => { const e = w.metrics[choice.metric];
        return el("tr", {}, cell(`${time(w.key.start_ms)} to ${time(w.key.end_ms)}`), right(e.value === null ? e.undefined.replaceAll("_", " ") : number(e.value)), cell(interval(e)),
          right(count(e.rows)), right(count(w.seen)), right(w.kind === "performance" ? share(w.labelled, w.seen) : "–"), cell(w.final ? "final" : "may change")); }))));
}

function unsliced(status, choice, link, found) {
  const model = known(status).find((m) => m.name === choice.model), by = (model && model.segments) || [];
  if (model && !by.length) return empty("No segment beside all rows. Name categorical features under ", el("code", {}, "segments"), " of the model to see where it is worse.");
  return found ? empty(`Rows are counted by ${by.join(", ")} too, and none of this window is told yet: they come with the predictions that have these features.`) : nothing(status, choice, link);
}

export function segments(status, choice, link) {
  const all = status.windows.filter((w) => w.key.series.model === choice.model && w.key.series.version === choice.version && w.key.window === choice.window && has(w, choice.metric));
  const sign = limitsOf(status, choice, choice.metric, "all").some((t) => t.direction === "max") || /^(mae|mse|rmse|mape|rmsle|median_ae|max_error|pinball_0_[19]|log_loss|brier|fpr)$/.test(choice.metric) || isDrift(choice.metric) ? -1 : 1;
  const low = (w) => w.metrics[choice.metric].value === null ? Infinity : sign * w.metrics[choice.metric].value;
  const rows = all.sort((a, b) => low(a) - low(b) || (a.key.series.segment < b.key.series.segment ? -1 : 1)).map((w) => {
    const e = w.metrics[choice.metric], s = w.key.series.segment, firing = status.alerts.filter((a) => a.series.model === choice.model && a.series.version === choice.version && a.series.segment === s);
    return el("tr", { "data-segment": s, "aria-current": s === choice.segment ? "true" : null }, cell(el("a", { href: link({ segment: s }) }, s)),
      right(e.value === null ? e.undefined.replaceAll("_", " ") : number(e.value)), cell(interval(e)), right(count(e.rows)), right(count(w.seen)), right(w.kind === "performance" ? share(w.labelled, w.seen) : "–"),
      cell(firing.length ? el("span", { class: "bad" }, `▲ ${firing.map((a) => a.rule).join(", ")}`) : ""));
  });
  return section("segments", "Segments", rows.length > 1 ? table("segments-table", `${choice.metric}, worst first`, ["segment", "#value", "95 %", "#rows", "#predictions", "#labelled", "alerts"], rows)
    : unsliced(status, choice, link, all.length));
}

export function drift(status, past, choice, link) {
  const inputs = own(past.windows, choice).filter((w) => w.kind === "input"), now = own(status.windows, choice).find((w) => w.kind === "input");
  if (!now) return section("drift", "Drift", nothing(status, choice, link));
  const distance = DISTANCES.find((d) => Object.keys(now.metrics).some((m) => of(m) === d));
  const names = Object.keys(now.metrics).filter((m) => of(m) === distance).map((m) => m.slice(distance.length + 1)).sort();
  const model = known(status).find((m) => m.name === choice.model);
  const parts = [];
  if (!model || (model.reference_rows ?? null) === null) parts.push(empty("Without a reference there is nothing to compare with. Make one with ", el("code", {}, "driftline reference build"), "."));
  else parts.push(el("p", { class: "soft" }, `Compared with ${count(model.reference_rows)} reference rows${model.provisional ? ", provisional: the first that came. Build one from rows that were good" : ""}.`));
  if (names.length && inputs.length && model && (model.reference_rows ?? null) !== null) parts.push(el("div", { class: "wide", id: "heat-scroll", tabindex: "0" }, heatmap(names.map((feature) => ({ name: feature === "$score" ? "scores" : feature,
    cells: inputs.map((w) => { const m = `${distance}:${feature}`, e = w.metrics[m] || { value: null }, t = limitsOf(status, choice, m)[0];
      return { value: e.value, limit: t ? t.threshold : 0.2, title: `${feature}, ${time(w.key.start_ms)}: ${distance} ${number(e.value)}${t ? `, ${t.rule} at ${t.threshold}` : ""}` }; }) })),
    inputs.map((w) => w.key.start_ms), `${distance} of each feature in ${inputs.length} windows`)),
    el("p", { class: "soft" }, `${distance} by feature and window; a full cell is twice its limit (0.2 where no rule sets one), and ! is beyond it.`));
  const rows = Object.entries(now.metrics).filter(([m]) => isDrift(m)).map(([m, e]) => { const limits = limitsOf(status, choice, m);
    return el("tr", { "data-metric": m }, cell(m), right(e.value === null ? e.undefined.replaceAll("_", " ") : number(e.value)), cell(interval(e)), right(count(e.rows)),
      cell(limits.map((t) => `${t.rule}: ${number(t.threshold)}`).join("; "), { class: "free" }),
      cell(limits.some((t) => broken(t, e.value)) ? el("span", { class: "bad" }, "▲ beyond") : limits.length ? el("span", { class: "good" }, "● within") : "")); });
  if (rows.length) parts.push(el("details", { open: rows.length < 16 || null, id: "drift-details" }, el("summary", { id: "drift-summary" }, `All ${rows.length} numbers of ${time(now.key.start_ms)} to ${time(now.key.end_ms)}`),
    table("drift-table", null, ["metric", "#value", "95 %", "#rows", "limits", "standing"], rows)));
  const shapes = past.distributions.filter((d) => d.series.model === choice.model && d.series.version === choice.version && d.window === choice.window);
  if (shapes.length) parts.push(el("h3", {}, "Distributions"), el("p", { class: "soft" }, `All rows of ${time(shapes[0].start_ms)} to ${time(shapes[0].end_ms)}, revision ${shapes[0].revision}. Upper bar, grey: the reference; lower bar, blue: now. Numbers by where they lie in the reference, categories by how frequent they were there.`),
    el("div", { class: "grid" }, ...shapes.map(spread)));
  if (past.cut) parts.push(el("p", { class: "soft", id: "cut" }, `${count(past.cut)} distributions of all models found no room.`));
  return section("drift", "Drift", ...parts);
}

// The second of the topics that are read is that of labels.
function unlabelled(status, choice, link) {
  if (status.topics.length < 2) return empty("The configuration names no topic of labels, so inputs and scores alone are watched. Where there are labels, map them under ", el("code", {}, "streams.labels"), ".");
  if (!own(status.windows, choice).length) return nothing(status, choice, link);
  return empty(`No performance window of this choice yet: it is told once the predictions and the labels, read from ${status.topics[1]}, have passed a tick.`);
}

export function labels(status, past, choice, link) {
  const windows = own(past.windows, choice).filter((w) => w.kind === "performance").slice(-12).reverse(), now = own(status.windows, choice).find((w) => w.kind === "performance");
  if (!now) return section("labels", "Labels", unlabelled(status, choice, link));
  const rows = windows.map((w) => el("tr", { "data-start": String(w.key.start_ms) }, cell(`${time(w.key.start_ms)} to ${time(w.key.end_ms)}`), right(span(Math.max(0, now.tick_ms - w.key.end_ms))), right(count(w.seen)), right(count(w.labelled)),
    right(share(w.labelled, w.seen)), cell(w.final ? "final" : "may change")));
  const o = now.outlook, curve = Object.hasOwn(past.delays, choice.model) ? past.delays[choice.model] : [];
  const outcomes = {};
  for (const p of status.partitions) for (const [name, n] of Object.entries(p.label_outcomes)) outcomes[name] = (outcomes[name] || 0) + n;
  const waits = status.partitions.reduce((sum, p) => sum + p.predictions.pending_rows, 0);
  return section("labels", "Labels", table("labels-table", "Share that has its label, by age of the window", ["window", "#age", "#predictions", "#labelled", "#share", ""], rows),
    o && o.expected_coverage !== null ? el("p", { id: "outlook" }, `Expected by now: ${share(o.expected_coverage, 1)}; ever: ${share(o.eventual_coverage, 1)}. ${o.settled_ms === null ? "" : `99 % of what comes has come at ${time(o.settled_ms)}.`}`)
      : curve.length > 1 ? null : el("p", { class: "soft" }, "With ", el("code", {}, "estimates"), " in the configuration it is said here what share is to be expected, and when."),
    curve.length > 1 ? el("div", { class: "grid" }, el("div", {}, el("h3", {}, "How long labels take"), delayCurve(curve, `Share of labels by delay: ${curve.map((p) => `${span(p.within_ms)} ${share(p.share, 1)}`).join(", ")}`))) : null,
    status.partitions.length ? el("p", { id: "outcomes" }, `${count(waits)} predictions wait for a label in the partitions of this process. Labels of all models there: ${Object.entries(outcomes).map(([k, n]) => `${k.replaceAll("_", " ")} ${count(n)}`).join(", ")}.`) : null);
}
