"use strict";
// A person's own answers: right or wrong, and which rules an image breaks; downloaded as labels.csv.
(() => {
  const { h } = jurat;
  const marks = new Map(); // row -> { right, broken: Set of rule ids }
  let drawn = () => {}; // draws the buttons again when a mark changes

  const judged = (table, row, code) => table.rules.filter((rule) => rule.outcome[row] === code).map((rule) => rule.id);
  const same = (a, b) => a.size === b.length && b.every((id) => a.has(id));

  jurat.canLabel = (table, row) => Boolean(table.labels?.tails[row]);

  // Whether every rule was decided: only then can a person say that all of it is right.
  const decided = (table, row) =>
    table.rules.some((rule) => rule.outcome[row] !== jurat.NONE) && !judged(table, row, jurat.UNDECIDED).length;

  // "Wrong" with the rules ticked that were found broken is no answer yet.
  const finished = (table, row, mark) =>
    mark.right || !decided(table, row) || !same(mark.broken, judged(table, row, jurat.BROKEN));

  const key = (table) => `jurat labels ${JSON.stringify([table.labels.folder, table.n, table.rules.map((rule) => rule.id)])}`;

  const remember = (table) => {
    const kept = [...marks].map(([row, { right, broken }]) => [table.names[row], right, [...broken]]);
    try {
      localStorage.setItem(key(table), JSON.stringify(kept));
    } catch {} // a browser that keeps nothing for files
  };

  const recall = (table) => {
    try {
      const rows = new Map(table.names.map((name, row) => [name, row]));
      for (const [name, right, broken] of JSON.parse(localStorage.getItem(key(table)) ?? "[]")) {
        if (jurat.canLabel(table, rows.get(name))) marks.set(rows.get(name), { right, broken: new Set(broken) });
      }
    } catch {}
  };

  const changed = (table, row) => {
    remember(table);
    say(table);
    jurat.retitle(table);
    drawn(row);
  };

  // Marks a row as right, wrong or (null) not at all; returns whether it can be marked so.
  jurat.mark = (table, row, right) => {
    if (!jurat.canLabel(table, row) || (right && !decided(table, row))) return false;
    const broken = judged(table, row, jurat.BROKEN);
    if (right === null) marks.delete(row);
    else if (right) marks.set(row, { right, broken: new Set(broken) });
    // One rule that was found broken, wrongly: most likely nothing is.
    else if (marks.get(row)?.right !== false) marks.set(row, { right, broken: new Set(broken.length === 1 && decided(table, row) ? [] : broken) });
    changed(table, row);
    return true;
  };

  const tick = (table, row, id) => {
    const { broken } = marks.get(row);
    if (!broken.delete(id)) broken.add(id);
    changed(table, row);
  };

  // Ticks the n-th rule of an item that is marked as wrong.
  jurat.tickRule = (table, row, n) => {
    const rule = table.rules[n - 1];
    if (!rule || marks.get(row)?.right !== false) return false;
    tick(table, row, rule.id);
    return true;
  };

  jurat.marked = (table, row) => {
    const mark = marks.get(row);
    if (!mark) return null;
    const breaks = [...mark.broken].join(", ") || "breaks no rule";
    if (!finished(table, row, mark)) return h("span", { class: "mark" }, "wrong, and not ticked yet");
    return h("span", { class: "mark" }, mark.right ? "right" : `wrong: ${breaks}`);
  };

  const ticks = (table, row, mark) =>
    h(
      "fieldset",
      {},
      h("legend", {}, "It breaks"),
      table.rules.map((rule, i) =>
        h(
          "label",
          {},
          h("input", { type: "checkbox", checked: mark.broken.has(rule.id), change: () => tick(table, row, rule.id) }),
          i < 9 && h("kbd", {}, String(i + 1)),
          " ",
          jurat.name(rule.sentence ? `${rule.id}: ${rule.sentence}` : rule.id),
        ),
      ),
    );

  // The buttons beside an opened item.
  jurat.labelling = (table, row) => {
    if (!table.labels) return null;
    const group = h("div", { class: "labelling", role: "group", "aria-label": "Your label" });
    const fill = () => {
      const mark = marks.get(row);
      const button = (name, letter, right) => {
        const pressed = right === null ? null : String(mark !== undefined && mark.right === right);
        const disabled = (right === true && !decided(table, row)) || (right === null && !mark);
        const attributes = { type: "button", "aria-pressed": pressed, disabled, click: () => jurat.mark(table, row, right) };
        return h("button", attributes, name, " ", h("kbd", {}, letter));
      };
      const hint =
        !jurat.canLabel(table, row) ? "It is no file of a folder, so it cannot be labelled here."
        : !mark && !decided(table, row) ? "Not all rules were decided: press Wrong and tick those that it breaks."
        : mark && !finished(table, row, mark) ? "Tick the rules that it breaks."
        : null;
      group.replaceChildren();
      if (jurat.canLabel(table, row)) group.append(button("Right", "r", true), button("Wrong", "w", false), button("No label", "x", null));
      if (hint) group.append(h("p", { class: "again" }, hint));
      if (mark?.right === false) group.append(ticks(table, row, mark));
    };
    fill();
    drawn = (which) => {
      if (which !== row || !group.isConnected) return;
      const at = [...group.querySelectorAll("button, input")].indexOf(document.activeElement);
      fill();
      document.querySelector("#item h2").replaceChildren(...jurat.titled(table, row));
      if (at >= 0) group.querySelectorAll("button, input")[at]?.focus();
    };
    return group;
  };

  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  // Files as paths from the folder that holds them all; rules separated by spaces.
  jurat.labelsCsv = (table) => {
    const rows = [...marks].filter(([row, mark]) => finished(table, row, mark)).sort(([a], [b]) => a - b);
    // A file that was judged under two names has a line once: the later row's.
    const byFile = new Map(rows.map(([row, { broken }]) => [table.names[row].slice(-table.labels.tails[row]), broken]));
    const lines = [...byFile].map(([file, broken]) => `${cell(file)},${cell([...broken].join(" "))}`);
    return ["file,broken", ...lines, ""].join("\n");
  };

  const say = (table) => {
    const bar = document.querySelector(".labels");
    const all = [...marks];
    const left = all.filter(([row, mark]) => !finished(table, row, mark)).length;
    const right = all.filter(([, mark]) => mark.right).length;
    const parts = [`${jurat.count(all.length - left, "image", "images")} labelled, ${right} of them right`];
    if (left) parts.push(`${left} marked wrong without a tick that differs, which labels.csv leaves out`);
    bar.hidden = !all.length;
    bar.querySelector("[role=status]").textContent = `${parts.join("; ")}. Files are named from ${table.labels.folder}`;
    bar.querySelector(".download-labels").disabled = all.length === left;
  };

  jurat.hooks.key = (table, row, key, next) => {
    if (key === "r") jurat.mark(table, row, true) && next();
    else if (key === "w") jurat.mark(table, row, false);
    else if (key === "x") jurat.mark(table, row, null);
    else if (/^[1-9]$/.test(key)) jurat.tickRule(table, row, Number(key));
    else return false;
    return true;
  };

  jurat.wireLabels = (table) => {
    const bar = document.querySelector(".labels");
    document.querySelector(".label-keys").hidden = !table.labels;
    if (!table.labels) return;
    recall(table);
    bar.querySelector(".download-labels").addEventListener("click", () => {
      const url = URL.createObjectURL(new Blob([jurat.labelsCsv(table)], { type: "text/csv" }));
      h("a", { href: url, download: "labels.csv" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
    bar.querySelector(".forget").addEventListener("click", () => {
      marks.clear();
      remember(table);
      say(table);
      jurat.retitle(table);
    });
    document.querySelector(".cards").addEventListener("keydown", (event) => {
      const row = Number(event.target.closest(".card")?.dataset.row);
      if (event.altKey || event.ctrlKey || event.metaKey || Number.isNaN(row)) return;
      if (event.key === "r") jurat.mark(table, row, true);
      else if (event.key === "x") jurat.mark(table, row, null);
      else if (event.key === "w" && jurat.mark(table, row, false)) jurat.open(row);
      else return;
      event.preventDefault();
    });
    say(table);
  };
})();
