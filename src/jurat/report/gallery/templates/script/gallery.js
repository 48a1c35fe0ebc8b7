"use strict";
// The slice of the rows that is looked at: only these cards are in the page.
(() => {
  const { h } = jurat;

  const named = (text) => {
    const short = jurat.short(text);
    const folder = text.slice(0, text.length - short.length);
    return h("bdi", { class: "name", title: text }, h("span", { class: "folder" }, folder), short);
  };

  const title = (table, row) => {
    const outcome = table.outcomes[table.outcome[row]];
    const was = table.before && table.outcomes[table.before[row]];
    const before = was && was !== outcome && [jurat.chip(was), " → "];
    const parts = [before, jurat.chip(outcome), jurat.hooks.chips(table, row), " ", named(table.names[row])];
    return parts.flat(3).filter(Boolean);
  };

  // Draws the headings and details of the cards again.
  jurat.retitle = (table) => {
    for (const card of document.querySelectorAll(".card")) {
      const row = Number(card.dataset.row);
      const heading = card.querySelector("h3");
      heading.replaceChildren(...title(table, row));
      card.querySelector(".touched")?.remove();
      const details = jurat.hooks.details(table, row);
      if (details) heading.after(details);
    }
  };

  jurat.card = (table, row) => {
    const picture = jurat.framed(table, row);
    const why = h("p", { class: "why" }, "…");
    const open = h("button", { type: "button", class: "open", "data-row": row, click: () => jurat.open(row) }, "Evidence");
    open.append(h("span", { class: "unseen" }, ` of ${jurat.short(table.names[row])}`));
    const told = h("div", { class: "told" }, h("h3", {}, title(table, row)));
    told.append(...[jurat.hooks.details(table, row), why, open].filter(Boolean));
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
