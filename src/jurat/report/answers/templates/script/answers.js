"use strict";
// An opened sample: what was asked, and the answers side by side with their judgements.
(() => {
  const { h, hooks } = jurat;

  const judgement = (one) =>
    h(
      "li",
      {},
      h("span", { class: `mark-${one.kind}` }, jurat.name(one.word)),
      " ",
      jurat.name(one.scorer, { class: "scorer" }),
      one.reason && h("p", { class: "grounds" }, jurat.name(one.reason)),
    );

  const answer = (one) =>
    h(
      "section",
      { class: "answer" },
      h("h3", {}, jurat.name(one.by)),
      one.note && h("p", { class: "note" }, jurat.name(one.note)),
      one.text && h("p", { class: "why" }, jurat.name(one.text)),
      one.judgements.length > 0 && h("ul", { class: "judgements" }, one.judgements.map(judgement)),
    );

  const asked = ([role, text]) => [h("h3", { class: "said" }, role), text && h("p", { class: "why" }, jurat.name(text))];

  hooks.sections = (table, row, item) => [
    item.asked.map(asked),
    h("div", { class: "answers" }, item.answers.map(answer)),
    jurat.carried(item),
  ];
})();
