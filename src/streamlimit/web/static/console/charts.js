// Charts of the last hour and day. Each chart names its source: GET /v1/stats/series, the counters of one machine's
// workers, or /v1/reports (where there is one), the totals that the store keeps for all machines.

import { call } from "./api.js";
import { every, place, setText } from "../dom.js";
import { onDay, refusal, secondOfDay, timeOfDay } from "./words.js";

const LOOK_MS = 10_000;
const HEIGHT = 180;
const COLOURS = ["--accent", "--bad", "--soon", "--good", "--faint", "--text"];
let page;
let drawn = new Map(); // of each figure: its chart and the names of its lines
const looking = every(LOOK_MS, look);

// Each: what is drawn, and the lines in an answer.
const FIGURES = [
  ["Live sessions", (series) => [["sessions", series.live_sessions]]],
  ["Users on all of their seats", (series) => [["users", series.users_at_limit]]],
  ["Requests let in a second", (series) => [["let in", series.admissions]]],
  ["Segments received a second", (series) => [["segments", series.segments]]],
  ["Refusals a second, by reason", (series) => Object.entries(series.refusals).map(([code, values]) => [refusal(code), values])],
  ["Wait for the store, in milliseconds", (series) => [["a call", series.store_latency_ms]]],
  ["Webhooks a second", (series) => [["sent", series.webhooks_sent], ["failed", series.webhooks_failed]]],
];

// By hour, as the store keeps them.
const REPORTED = [
  ["Most sessions at once, by hour, on all machines", (rows) => [["sessions", column(rows, "peak_live_sessions")]]],
  ["Users by hour, on all machines", (rows) => [["users", column(rows, "users")], ["refused", column(rows, "refused_users")]]],
];

// A chart is as wide as its figure, whenever that changes: also when another section leaves the page.
const sizes = new ResizeObserver((figures) => figures.forEach(({ target }) => fit(target)));
const fit = (figure) => drawn.get(figure)?.chart.setSize({ width: widthOf(figure), height: HEIGHT });

const column = (rows, name) => rows.map((row) => row[name]);

export function furnish(_settings, tools) {
  page = tools;
  place("span").addEventListener("change", () => looking.start());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", clear);
}

export const show = () => looking.start();
export const hide = () => looking.stop();

async function look() {
  const span = place("span").querySelector(":checked").value;
  const [answer, report] = await Promise.all([
    call("GET", `/v1/stats/series?span=${span}`),
    span === "day" ? call("GET", "/v1/reports?by=hour") : { ok: false },
  ]);
  page.showNotice(answer.ok ? "" : answer.problem.title);
  if (!answer.ok) return;
  const series = answer.body;
  const since = series.since ? `since ${onDay(series.since * 1000)}` : "from now on";
  setText(
    place("covers"),
    `What the workers of the machine that answers counted, kept in their memory ${since}; a restart begins anew, and other ` +
      "machines have their own. How many sessions and users there are is of the whole service, but counted only while " +
      "somebody looks: gaps are times when nobody did. What is by hour is of all machines: the store keeps it.",
  );
  const figures = FIGURES.map(([title, lines]) => ({ title, at: series.at, lines: lines(series) }));
  if (report.ok) figures.push(...REPORTED.map(([title, lines]) => hourly(title, lines, report.body.rows)));
  figures.forEach(draw);
  trim(figures.length);
}

const hourly = (title, lines, rows) => ({ title, at: rows.map((row) => Date.parse(row.at) / 1000), lines: lines(rows) });

// Figures that are no more.
function trim(count) {
  for (const figure of [...place("figures").children].slice(count)) {
    drawn.get(figure)?.chart.destroy();
    drawn.delete(figure);
    sizes.unobserve(figure);
    figure.remove();
  }
}

function draw({ title, at, lines }, index) {
  const figure = place("figures").children[index] ?? place("figures").appendChild(made(title));
  const names = lines.map(([name]) => name).join();
  const known = drawn.get(figure);
  const data = [at, ...lines.map(([, values]) => values)];
  describe(figure, lines);
  if (known?.names === names) return known.chart.setData(data);
  known?.chart.destroy();
  drawn.set(figure, { names, chart: new uPlot(options(figure, lines), data, figure.lastElementChild) });
}

function made(title) {
  const figure = document.createElement("figure");
  const caption = figure.appendChild(document.createElement("figcaption"));
  caption.appendChild(document.createElement("strong")).textContent = title;
  caption.appendChild(document.createElement("span")).className = "small";
  figure.appendChild(document.createElement("div")).setAttribute("aria-hidden", "true");
  sizes.observe(figure);
  return figure;
}

// The same in words: the newest value of each line and its highest.
function describe(figure, lines) {
  const words = lines.map(([name, values]) => {
    const known = values.filter((value) => value !== null);
    if (!known.length) return `${name}: nothing known yet`;
    return `${name}: ${round(known.at(-1))} now, ${round(known.reduce((most, value) => Math.max(most, value), 0))} at most`;
  });
  setText(figure.querySelector("span"), lines.length ? words.join("; ") : "none");
}

const round = (value) => String(Math.round(value * 100) / 100);
const widthOf = (figure) => Math.max(figure.clientWidth - 34, 200);

function options(figure, lines) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width: widthOf(figure),
    height: HEIGHT,
    scales: { y: { range: (_chart, _low, high) => [0, Math.max(high * 1.1, 1)] } },
    axes: [{ ...axis, values: times }, { ...axis, size: 56 }],
    cursor: { drag: { x: false, y: false } },
    series: [
      { value: (_chart, at) => (at == null ? "" : onDay(at * 1000)) },
      ...lines.map(([name], index) => ({ label: name, stroke: colour(COLOURS[index % COLOURS.length]), width: 2 })),
    ],
  };
}

function times(_chart, moments, _axis, _space, apart) {
  return moments.map((at) => (apart < 60 ? secondOfDay : timeOfDay)(at * 1000));
}

function clear() {
  drawn.forEach(({ chart }) => chart.destroy());
  drawn = new Map();
  if (!place("charts").hidden) looking.start();
}
