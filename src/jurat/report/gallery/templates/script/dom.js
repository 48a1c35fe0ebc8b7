"use strict";
// The page's one name, and elements made from data: text is text, attributes are set, HTML is never parsed.
const jurat = {};

// What the scripts of a layout add to the gallery; these are the defaults.
jurat.hooks = {
  // More columns of the table, unpacked.
  unpack: () => ({}),
  // Before the rows are shown first, and after it.
  prepare: () => {},
  start: () => {},
  // Selects of the filter form, made with choose(name, label, [[value, text]]), and what they ask for.
  controls: () => [],
  wanted: () => ({}),
  // Narrows the rows by what they ask for; returns the scores that the range of scores applies to.
  filter: (table) => table.score,
  // A number from 0 (gravest) to 7 a row, for the order among rows of one outcome; null for none.
  gravity: () => null,
  // On a card: more words of the picture's text, chips beside the outcome, an element below the heading.
  describe: () => "",
  chips: () => [],
  details: () => null,
  // Of an item: boxes as [number of a text, score, x0, y0, x1, y1], the sections of its page, one more key.
  regions: (item) => item.regions ?? [],
  sections: (table, row, item) => [jurat.said(item), jurat.note(item), jurat.carried(item)],
  key: () => false,
};

jurat.NONE = 255; // a category that a row does not have

jurat.SVG = "http://www.w3.org/2000/svg";

jurat.fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
};

// h("p", { class: "why", click: listener }, "text", element, [more])
jurat.h = (tag, attributes = {}, ...children) => jurat.fill(document.createElement(tag), attributes, children);

jurat.svg = (tag, attributes = {}, ...children) =>
  jurat.fill(document.createElementNS(jurat.SVG, tag), attributes, children);

// Other people's text may turn the direction of a line: it is held apart.
jurat.name = (text, attributes = {}) => jurat.h("bdi", attributes, text);

jurat.number = (value) => (value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(2));

jurat.count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

jurat.chip = (outcome, text = outcome) => jurat.h("span", { class: `chip ${outcome}` }, text);

// A score as a bar, the baseline as a tick on it, the mass as the line below. Words beside it say the same.
jurat.gauge = (score, baseline, mass) => {
  if (score === null || score === undefined || Number.isNaN(score)) return null;
  const { svg } = jurat;
  const x = Math.max(0.6, Math.min(99.4, 100 * baseline));
  return svg(
    "svg",
    { class: "gauge", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "rail", width: 100, height: 6 }),
    svg("rect", { class: "fill", width: (100 * score).toFixed(1), height: 6 }),
    typeof baseline === "number" && svg("line", { class: "tick", x1: x, x2: x, y1: 0, y2: 6 }),
    typeof mass === "number" && svg("rect", { class: "mass", y: 8, width: (100 * mass).toFixed(1), height: 2 }),
  );
};
