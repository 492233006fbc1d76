// Charts as SVG, made of elements: nothing here ever parses markup, so no name of a model can become any.
const SVG = "http://www.w3.org/2000/svg";

export function el(name, attributes = {}, ...children) {
  const made = name in SHAPES ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
const SHAPES = Object.fromEntries(["svg", "g", "path", "rect", "line", "circle", "text", "polygon"].map((s) => [s, 1]));

// What happened to an alert, by shape as well as by colour, its tip at (x, y).
const MARKS = { firing: [-6, -12, 6, -12, 0, 0], resolved: [-6, 0, 6, 0, 0, -12] };
const DIAMOND = [-6, -6, 0, 0, 6, -6, 0, -12];
export const NAMED = "▼ firing, ▲ resolved, ◆ amended";
function mark(x, y, m) {
  const at = Object.hasOwn(MARKS, m.what) ? MARKS[m.what] : DIAMOND;
  return tell(el("polygon", { class: `mark ${m.what}`, points: at.map((d, i) => (i % 2 ? y : x) + d).join(" ") }), m.title);
}

const tell = (shape, text) => { const t = document.createElementNS(SVG, "title"); t.textContent = text; shape.append(t); return shape; };

// The shortest text that is still the number of the API to six digits.
export const number = (value) => value === null || value === undefined ? "–" : String(Number(value.toPrecision(6)));
export const count = (value) => value === null || value === undefined ? "–" : String(value).replace(/\B(?=(\d{3})+$)/g, " ");
export const share = (part, whole) => whole ? `${Number((100 * part / whole).toFixed(1))} %` : "–";
export function time(ms) {
  if (ms === null || ms === undefined) return "–";
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return "the end";
  const text = at.toISOString();
  return ms % 86400000 === 0 ? text.slice(0, 10) : text.slice(0, 16).replace("T", " ");
}
export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  const size = Math.abs(ms);
  for (const [unit, long] of [["d", 86400000], ["h", 3600000], ["min", 60000], ["s", 1000]])
    if (size >= long) return `${Number((ms / long).toFixed(1))} ${unit}`;
  return `${ms} ms`;
}

const scale = (from, to, low, high) => (x) => low + (to === from ? 0.5 : (x - from) / (to - from)) * (high - low);

function bounds(values) {
  let low = Math.min(...values), high = Math.max(...values);
  const room = (high - low) * 0.08 || Math.abs(high) * 0.05 || 0.5;
  return [low - room, high + room];
}

// points: [{at, value, lower, upper}], those without a value break the line.
function runs(points) {
  const found = [[]];
  for (const p of points) if (p.value === null) found.push([]); else found[found.length - 1].push(p);
  return found.filter((run) => run.length);
}
const path = (run, x, y) => run.map((p, i) => `${i ? "L" : "M"}${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`).join("");

export function spark(points, name) {
  const known = points.filter((p) => p.value !== null);
  const svg = el("svg", { class: "spark", viewBox: "0 0 120 26", role: "img", "aria-label": name });
  if (!known.length) return el("span", { class: "soft" }, "no value yet");
  const x = scale(points[0].at, points[points.length - 1].at, 4, 116), [low, high] = bounds(known.map((p) => p.value));
  const y = scale(low, high, 23, 3), last = known[known.length - 1];
  for (const run of runs(points)) svg.append(el("path", { class: "stroke", d: path(run, x, y) }));
  svg.append(el("circle", { class: "dot", cx: x(last.at), cy: y(last.value), r: 3 }));
  return tell(svg, name);
}

// A metric over event time: line, interval as a band, thresholds, coverage below, marks of alerts above.
export function metricChart(points, limits, marks, name) {
  const W = 900, H = 300, L = 62, R = 12, T = 26, B = 232;
  const all = points.flatMap((p) => [p.value, p.lower, p.upper]).concat(limits.map((l) => l.threshold)).filter((v) => v !== null);
  const ends = points.flatMap((p) => [p.from, p.until]);
  const x = scale(Math.min(...ends), Math.max(...ends), L, W - R), [low, high] = bounds(all.length ? all : [0, 1]), y = scale(low, high, B, T);
  const svg = el("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": name });
  for (let i = 0; i <= 4; i++) {
    const value = low + (high - low) * i / 4;
    svg.append(el("line", { class: "axis", x1: L, x2: W - R, y1: y(value), y2: y(value) }),
      el("text", { x: L - 6, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(3)))));
  }
  for (const run of runs(points)) {
    const sure = run.filter((p) => p.lower !== null && p.upper !== null);
    if (sure.length > 1) svg.append(el("path", { class: "band", d: path(sure.map((p) => ({ at: p.at, value: p.upper })), x, y)
      + path(sure.map((p) => ({ at: p.at, value: p.lower })).reverse(), x, y).replace("M", "L") + "Z" }));
    svg.append(el("path", { class: "stroke", d: path(run, x, y) }));
  }
  for (const p of points) {
    if (p.value !== null) {
      if (p.lower !== null && p.upper !== null) svg.append(el("line", { class: "stroke", x1: x(p.at), x2: x(p.at), y1: y(p.lower), y2: y(p.upper) }));
      svg.append(tell(el("circle", { class: p.final ? "dot" : "open", cx: x(p.at), cy: y(p.value), r: 4 }), p.title));
    }
    const width = Math.max(2, x(p.until) - x(p.from) - 1);
    svg.append(el("rect", { class: "cover", x: x(p.from), y: 282 - 30 * (p.coverage ?? 0), width, height: 30 * (p.coverage ?? 0) }));
  }
  for (const l of limits) svg.append(tell(el("line", { class: "limit", x1: L, x2: W - R, y1: y(l.threshold), y2: y(l.threshold) }), l.title));
  for (const m of marks.filter((one) => one.at >= Math.min(...ends))) {
    svg.append(mark(Math.max(L, Math.min(W - R, x(m.at))), 16, m));
  }
  svg.append(el("text", { x: L - 6, y: 272, "text-anchor": "end" }, "labels"),
    el("text", { x: L, y: H - 4 }, time(Math.min(...ends))), el("text", { x: W - R, y: H - 4, "text-anchor": "end" }, time(Math.max(...ends))));
  return svg;
}

// rows: [{name, cells: [{value, limit, title}]}]; the deeper the redder, a mark where the limit is passed.
export function heatmap(rows, starts, name) {
  const L = 150, step = Math.max(16, Math.min(40, 720 / Math.max(1, starts.length))), H = 24 * rows.length + 24, W = L + step * starts.length + 8;
  const svg = el("svg", { class: "heat", viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "img", "aria-label": name });
  rows.forEach((row, r) => {
    svg.append(el("text", { x: L - 8, y: 24 * r + 17, "text-anchor": "end" }, row.name.length > 22 ? `${row.name.slice(0, 21)}…` : row.name));
    row.cells.forEach((cell, c) => {
      const depth = cell.value === null ? 0 : Math.min(1, cell.value / (2 * cell.limit));
      svg.append(tell(el("rect", { class: cell.value === null ? "none" : null, x: L + step * c, y: 24 * r + 2, width: step - 2, height: 20,
        "fill-opacity": depth.toFixed(2) }), cell.title));
      if (cell.value !== null && cell.value > cell.limit) svg.append(el("text", { class: "beyond", x: L + step * c + step / 2 - 1, y: 24 * r + 17, "text-anchor": "middle" }, "!"));
    });
  });
  if (starts.length) svg.append(el("text", { x: L, y: H - 6 }, time(starts[0])),
    starts.length > 6 ? el("text", { x: W - 8, y: H - 6, "text-anchor": "end" }, time(starts[starts.length - 1])) : "");
  return svg;
}

// bars: [{name, reference, current}] as shares of their sums.
export function bars(list, name) {
  const sums = ["reference", "current"].map((side) => list.reduce((sum, bar) => sum + bar[side], 0) || 1);
  const most = Math.max(...list.flatMap((bar) => [bar.reference / sums[0], bar.current / sums[1]]), 0.01);
  const L = 112, W = 420, H = 22 * list.length + 4, width = (s) => s / most * (W - L - 60);
  const svg = el("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": name });
  list.forEach((bar, i) => {
    const y = 22 * i, now = bar.current / sums[1];
    svg.append(el("text", { x: L - 6, y: y + 14, "text-anchor": "end" }, bar.name),
      el("rect", { class: "before", x: L, y: y + 2, width: width(bar.reference / sums[0]), height: 8 }),
      el("rect", { class: "now", x: L, y: y + 10, width: width(now), height: 8 }),
      el("text", { x: L + 5 + Math.max(width(now), width(bar.reference / sums[0])), y: y + 14 }, share(bar.current, sums[1])));
  });
  return tell(svg, name);
}

// lanes: [{name, spans: [{from, until, title}], marks: [{at, what, title}]}]
export function timeline(lanes, from, until, name) {
  const L = 150, W = 900, H = 26 * lanes.length + 22, x = scale(from, until, L, W - 12);
  const svg = el("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": name });
  lanes.forEach((lane, i) => {
    const y = 26 * i;
    svg.append(el("text", { x: L - 8, y: y + 17, "text-anchor": "end" }, lane.name.length > 22 ? `${lane.name.slice(0, 21)}…` : lane.name),
      el("line", { class: "axis", x1: L, x2: W - 12, y1: y + 13, y2: y + 13 }));
    for (const s of lane.spans) svg.append(tell(el("rect", { class: "span", x: x(s.from), y: y + 6, width: Math.max(3, x(s.until) - x(s.from)), height: 14 }), s.title));
    for (const m of lane.marks) svg.append(mark(x(m.at), y + 19, m));
  });
  svg.append(el("text", { x: L, y: H - 4 }, time(from)), el("text", { x: W - 12, y: H - 4, "text-anchor": "end" }, time(until)));
  return svg;
}

// points: [{within_ms, share}] on a logarithmic axis of delays.
export function delayCurve(points, name) {
  const L = 46, W = 420, H = 170, B = 140, x = scale(Math.log(points[0].within_ms), Math.log(points[points.length - 1].within_ms), L, W - 12), y = scale(0, 1, B, 10);
  const svg = el("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": name });
  for (const part of [0, 0.5, 1]) svg.append(el("line", { class: "axis", x1: L, x2: W - 12, y1: y(part), y2: y(part) }),
    el("text", { x: L - 5, y: y(part) + 4, "text-anchor": "end" }, `${100 * part} %`));
  svg.append(el("path", { class: "stroke", d: path(points.map((p) => ({ at: Math.log(p.within_ms), value: p.share })), x, y) }),
    el("text", { x: L, y: H - 8 }, span(points[0].within_ms)), el("text", { x: W - 12, y: H - 8, "text-anchor": "end" }, span(points[points.length - 1].within_ms)));
  return svg;
}
