"use strict";
// An opened image: what people labelled, and what each method said of every rule.
(() => {
  const { h, hooks } = jurat;

  const cell = (text) => h("td", {}, text);

  const rule = (one) => h("tr", {}, h("th", { scope: "row" }, jurat.name(one[0])), one.slice(1).map(cell));

  hooks.sections = (table, row, item) => [
    h(
      "table",
      { class: "rulings" },
      h("thead", {}, h("tr", {}, item.columns.map((name) => h("th", { scope: "col" }, jurat.name(name))))),
      h("tbody", {}, item.rules.map(rule)),
    ),
    jurat.carried(item),
  ];
})();
