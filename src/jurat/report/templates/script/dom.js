"use strict";
// The page's one name, and elements made from data: text is text, attributes are set, HTML is never parsed.
const jurat = {};

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
