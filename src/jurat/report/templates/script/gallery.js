"use strict";
// The slice of the rows that is looked at: only these cards are in the page.
(() => {
  const { h } = jurat;

  const named = (text) => {
    const short = jurat.short(text);
    const folder = text.slice(0, text.length - short.length);
    return h("bdi", { class: "name", title: text }, h("span", { class: "folder" }, folder), short);
  };

  const CODES = ["broken", "undecided", "kept"];

  // Broken and undecided rules with their scores, and those that thresholds under trial would change; of a
  // comparison those that changed.
  const touched = (table, row) => {
    const lines = [];
    for (const rule of table.rules) {
      const [code, was] = [rule.outcome[row], rule.before[row]];
      const changed = table.before && was !== code && Math.min(was, code) < jurat.KEPT;
      const would = rule.now[row] !== code;
      if (table.before ? !changed : code !== jurat.BROKEN && code !== jurat.UNDECIDED && !would) continue;
      const word = changed
        ? `${CODES[was] ?? "not judged"} → ${CODES[code] ?? "not judged"}`
        : CODES[code] + (would ? `, would be ${CODES[rule.now[row]]}` : "");
      lines.push({ rule, code, word, score: rule.score[row] });
    }
    return lines.sort((a, b) => a.code - b.code || a.rule.rank - b.rule.rank);
  };

  const MOST = 4;

  const broken = (table, row) => {
    const lines = touched(table, row);
    if (!lines.length) return null;
    const more = lines.length - MOST;
    return h(
      "ul",
      { class: "touched" },
      lines.slice(0, MOST).map(({ rule, code, word, score }) =>
        h(
          "li",
          { class: CODES[code] ?? "kept" },
          jurat.name(rule.id, { class: "id" }),
          rule.sentence && jurat.name(rule.sentence, { class: "sentence" }),
          jurat.gauge(score),
          h("span", { class: "n" }, jurat.number(score)),
          h("span", { class: "word" }, word, rule.severity ? `, ${rule.severity}` : ""),
        ),
      ),
      more > 0 && h("li", { class: "more" }, `and ${more} more`),
    );
  };

  const verdict = (table, row) => {
    const outcome = table.outcomes[table.outcome[row]];
    const was = table.before && table.outcomes[table.before[row]];
    const would = table.now[row] !== table.outcome[row] && table.outcomes[table.now[row]];
    return [
      was && was !== outcome && [jurat.chip(was), " → "],
      jurat.chip(outcome),
      would && [" ", h("span", { class: `chip would ${would}` }, `would be ${would}`)],
      jurat.marked(table, row) && [" ", jurat.marked(table, row)],
    ];
  };

  const title = (table, row) => [verdict(table, row), " ", named(table.names[row])].flat(3).filter(Boolean);

  // Says anew what the cards would be under the thresholds that are tried.
  jurat.retitle = (table) => {
    for (const card of document.querySelectorAll(".card")) {
      const row = Number(card.dataset.row);
      const heading = card.querySelector("h3");
      heading.replaceChildren(...title(table, row));
      card.querySelector(".touched")?.remove();
      const rules = broken(table, row);
      if (rules) heading.after(rules);
    }
  };

  jurat.card = (table, row) => {
    const picture = jurat.framed(table, row);
    const why = h("p", { class: "why" }, "…");
    const open = h("button", { type: "button", class: "open", "data-row": row, click: () => jurat.open(row) }, "Evidence");
    open.append(h("span", { class: "unseen" }, ` of ${jurat.short(table.names[row])}`));
    const told = h("div", { class: "told" }, h("h3", {}, title(table, row)));
    told.append(...[broken(table, row), why, open].filter(Boolean));
    jurat.item(row).then(
      (item) => {
        why.replaceChildren(jurat.name((item.said.find((one) => one.heading === "Facts") ?? item.said[0]).text));
        const boxes = picture.querySelector("img") && jurat.boxes(table, item);
        if (boxes) picture.querySelector("img").after(boxes);
      },
      (error) => why.replaceChildren(error.message),
    );
    return h("li", { class: "card", "data-row": row }, h("article", {}, picture, told));
  };

  jurat.titled = title;
})();
