"use strict";
// The findings of an opened item, rule by rule and clause by clause, as tables.
(() => {
  const { h, number } = jurat;
  const ORDER = ["broken", "undecided", "kept"];

  // Evidence of the later stages: over moved copies, on a crop, with the objects painted over, in words.
  const again = (one, texts) => {
    const lines = [];
    const line = (...parts) => lines.push(h("span", { class: "again" }, ...parts));
    if (one.views !== undefined) line(`over moved copies ${number(one.views)}`);
    if (one.crop !== undefined) line(`on a crop ${number(one.crop)}`);
    if (one.without !== undefined) {
      const words = [...new Set((one.regions ?? []).map(([word]) => texts[word]))].join(", ");
      line("with ", jurat.name(words || "its objects"), ` painted over ${number(one.without)}`);
    }
    for (const there of one.presence ?? []) {
      line("with ", jurat.name(texts[there.text]), ` ${there.reason ?? number(there.score)}`);
    }
    // Boxes do not support a statement that fails: all alternatives of a clause have the boxes of its objects.
    if (one.regions?.length && one.without === undefined && one.outcome !== "fails") {
      const seen = one.regions.map(([word, score]) => `${texts[word]} ${number(score)}`);
      line("seen: ", jurat.name([...new Set(seen)].join(", ")));
    }
    if (one.rationale) line("reasoning: ", one.rating ? `${one.rating}, ` : "", jurat.name(one.rationale));
    return lines;
  };

  const outcome = (one) => [
    one.outcome,
    (one.reason ?? one.stage) && h("span", { class: "reason" }, one.reason ?? `by ${one.stage}`),
  ];

  const alternative = (one, texts) =>
    h(
      "li",
      { class: one.outcome },
      jurat.name((one.negated ? "not: " : "") + texts[one.text]),
      ` `,
      h("span", { class: "n" }, number(one.score)),
      again(one, texts),
    );

  const clause = (one, texts) =>
    h(
      "tr",
      { class: one.outcome },
      h(
        "th",
        { scope: "row" },
        one.unless && h("span", { class: "role" }, "unless "),
        one.about && h("span", { class: "role" }, `${one.about}: `),
        jurat.name(texts[one.text]),
        one.alternatives
          ? h("ul", { class: "alternatives" }, one.alternatives.map((a) => alternative(a, texts)))
          : again(one, texts),
      ),
      h("td", { class: "outcome" }, outcome(one)),
      h("td", { class: "bar" }, jurat.gauge(one.score, one.baseline, one.mass)),
      [one.score, one.baseline, one.mass].map((value) => h("td", { class: "n" }, number(value))),
    );

  const head = () =>
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Clause"),
        h("th", { scope: "col" }, "Outcome"),
        h("th", { scope: "col", class: "bar" }, h("span", { class: "unseen" }, "Score drawn as a bar")),
        ["Score", "Baseline", "Mass"].map((name) => h("th", { scope: "col", class: "n" }, name)),
      ),
    );

  // Of an item of several images or frames: in which of them the rule is broken, and how many it takes.
  const parts = (rule) => {
    if (!rule.parts) return null;
    const lines = ["broken", "undecided"].flatMap((word) => {
      const some = rule.parts.filter(([, outcome]) => outcome === word);
      const listed = some.map(([place, , score]) => `${place} (${number(score)})`).join(", ");
      return some.length ? [`${word} in ${some.length} of ${rule.parts.length}: ${listed}`] : [];
    });
    if (!lines.length) lines.push(`kept in all ${rule.parts.length}`);
    if (rule.needed) lines.push(`it takes ${rule.needed} frames for a video to break it`);
    return h("p", { class: "again parts" }, `${lines.join("; ")}.`);
  };

  const clauses = (rule, item, texts) => {
    if (!rule.clauses) {
      const least = item.relevant_above === undefined ? "" : `, where more than ${number(item.relevant_above)} counts`;
      const told = `Not relevant: the image resembles the rule by ${number(rule.relevance)} only${least}, and nothing was asked.`;
      return h("p", { class: "again" }, told);
    }
    const table = h("table", { class: "clauses" }, head(), h("tbody", {}, rule.clauses.map((one) => clause(one, texts))));
    return [parts(rule), table];
  };

  const aside = (text) => text && h("span", { class: "aside" }, text);

  const heading = (rule, known, texts) => [
    jurat.name(texts[rule.id]),
    h("span", { class: "verdict" }, rule.outcome),
    h("span", { class: "n" }, number(rule.score)),
    aside(known?.severity),
    rule.outcome !== "kept" && aside(rule.reason ?? (rule.stage && `by ${rule.stage}`)),
    rule.frame !== undefined && aside(`at ${rule.frame}`),
    known?.sentence && jurat.name(known.sentence, { class: "sentence" }),
  ];

  // The rules of an item: broken ones first, the gravest first among them; kept ones folded.
  jurat.rules = (table, item, level = "h3") => {
    const byId = new Map(table.rules.map((rule) => [rule.id, rule]));
    const known = (rule) => byId.get(table.texts[rule.id]);
    const rank = (rule) => 10 * ORDER.indexOf(rule.outcome) + (known(rule)?.rank ?? 9);
    return [...item.rules]
      .sort((a, b) => rank(a) - rank(b))
      .map((rule) =>
        rule.outcome === "kept"
          ? h(
              "details",
              { class: "rule kept" },
              h("summary", {}, heading(rule, known(rule), table.texts)),
              clauses(rule, item, table.texts),
            )
          : h(
              "section",
              { class: `rule ${rule.outcome}` },
              h(level, {}, heading(rule, known(rule), table.texts)),
              clauses(rule, item, table.texts),
            ),
      );
  };

  // The verdict in another run that is compared.
  const before = (table, item) =>
    item.before &&
    h(
      "details",
      { class: "before", open: true },
      h("summary", {}, "What the first run said"),
      jurat.said(item.before),
      jurat.rules(table, item.before, "h4"),
    );

  jurat.hooks.sections = (table, row, item) => [
    jurat.said(item),
    jurat.labelling(table, row),
    jurat.note(item),
    jurat.carried(item),
    h("div", { class: "findings", "aria-describedby": "legend" }, jurat.rules(table, item)),
    before(table, item),
  ];
})();
