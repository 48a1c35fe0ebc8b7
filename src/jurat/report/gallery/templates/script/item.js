"use strict";
// One item, opened: its picture with boxes, why in words, and every clause. Arrow keys go to its neighbours.
(() => {
  const { h } = jurat;
  let row = null;
  let opener = null;

  const facts = (item) => {
    const lines = [];
    if (item.width) lines.push(`${item.width} × ${item.height}`);
    if (item.frames) {
      const all = item.frames_in_file ? `, of ${item.frames_in_file} in the file` : "";
      lines.push(`${item.kind ?? "image"}: ${item.shows} is shown, of ${item.frames} frames judged${all}`);
    }
    if (item.basis) lines.push(`basis: ${item.basis}${item.label ? `, ${item.label}` : ""}`);
    if (item.sha256) lines.push(`sha256 ${item.sha256}`);
    if (item.time) lines.push(item.time);
    if (item.decision) lines.push(`decision ${item.decision}`);
    return h("p", { class: "small" }, jurat.name(lines.join(" · ")));
  };

  // The words on an item, as paragraphs of which each may have a heading.
  jurat.said = (item) =>
    item.said.map((one) => [one.heading && h("h3", { class: "said" }, one.heading), h("p", { class: "why" }, jurat.name(one.text))]);

  jurat.note = (item) => item.note && h("p", { class: "note" }, jurat.name(item.note));

  jurat.carried = (item) =>
    item.carried &&
    h(
      "dl",
      { class: "carried" },
      Object.entries(item.carried).map(([name, value]) =>
        h("div", {}, h("dt", {}, jurat.name(name)), h("dd", {}, jurat.name(value))),
      ),
    );

  const show = async (dialog, next) => {
    const { table } = jurat;
    row = next;
    jurat.blur();
    const place = jurat.rows.indexOf(row);
    const picture = jurat.framed(table, row);
    const told = h("div", { class: "told" });
    dialog.querySelector("h2").replaceChildren(...jurat.titled(table, row));
    dialog.querySelector(".place").textContent = `${(place + 1).toLocaleString("en")} of ${jurat.rows.length.toLocaleString("en")}`;
    dialog.querySelector(".previous").disabled = place <= 0;
    dialog.querySelector(".next").disabled = place < 0 || place >= jurat.rows.length - 1;
    dialog.querySelector(".matter").replaceChildren(picture, told);
    // What had the focus may be gone, or be a button that leads nowhere now: keys would go nowhere too.
    if (!dialog.contains(document.activeElement) || document.activeElement.disabled) dialog.focus();
    try {
      const item = await jurat.item(row);
      if (row !== next) return;
      const boxes = picture.querySelector("img") && jurat.boxes(table, item);
      if (boxes) picture.querySelector("img").after(boxes);
      told.append(...[jurat.hooks.sections(table, row, item), facts(item)].flat(4).filter(Boolean));
    } catch (error) {
      told.replaceChildren(h("p", { class: "note" }, error.message));
    }
  };

  const step = (dialog, by) => {
    const next = jurat.rows[jurat.rows.indexOf(row) + by];
    if (next !== undefined) show(dialog, next);
  };

  jurat.open = (which) => {
    const dialog = document.getElementById("item");
    opener = document.activeElement;
    show(dialog, which);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };

  jurat.wireItem = () => {
    const dialog = document.getElementById("item");
    dialog.querySelector(".previous").addEventListener("click", () => step(dialog, -1));
    dialog.querySelector(".next").addEventListener("click", () => step(dialog, 1));
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      jurat.blur();
      jurat.goTo(row);
      (document.querySelector(`.cards .open[data-row="${row}"]`) ?? opener)?.focus();
      dialog.querySelector(".matter").replaceChildren();
    });
    dialog.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "ArrowLeft") step(dialog, -1);
      else if (event.key === "ArrowRight") step(dialog, 1);
      else if (event.key === "b") dialog.querySelector(".veil")?.click();
      else if (!jurat.hooks.key(jurat.table, row, event.key, () => step(dialog, 1))) return;
      event.preventDefault();
    });
  };
})();
