"use strict";
// The scores of every rule, with thresholds that can be moved to see what would change.
(() => {
  const { h } = jurat;
  const panels = [];

  const tally = (codes, outcomes) => {
    const counts = new Array(outcomes).fill(0);
    for (const code of codes) if (code !== jurat.NONE) counts[code] += 1;
    return counts;
  };

  const moves = (was, is) => (was === is ? is.toLocaleString("en") : `${was.toLocaleString("en")} → ${is.toLocaleString("en")}`);

  const slider = (rule, which, label, changed) => {
    const shown = h("span", { class: "value" }, jurat.number(rule.tried[which]));
    const input = h("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.001,
      value: rule.tried[which],
      "aria-label": `${label}, of ${rule.id}`,
      input: () => {
        rule.tried[which] = Number(input.value);
        // Dragged back to where it was, it is what it was, however the slider rounds.
        if (Math.abs(rule.tried[which] - rule[which]) < 0.0006) rule.tried[which] = rule[which];
        const other = which === "keep" ? "break" : "keep";
        const crossed = which === "keep" ? rule.tried.keep > rule.tried.break : rule.tried.break < rule.tried.keep;
        if (crossed) rule.tried[other] = rule.tried[which];
        changed(rule);
      },
    });
    const show = () => {
      if (Number(input.value) !== rule.tried[which]) input.value = rule.tried[which];
      shown.textContent = jurat.number(rule.tried[which]);
    };
    // Arrow keys move by a hundredth, which is what is shown.
    input.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 0.01, ArrowUp: 0.01, ArrowLeft: -0.01, ArrowDown: -0.01 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      input.value = Math.round(100 * (Number(input.value) + by)) / 100;
      input.dispatchEvent(new Event("input"));
    });
    return { element: h("label", { class: which }, h("span", {}, label), input, shown), show };
  };

  const panel = (table, rule, changed) => {
    const { chart, unscored, colour } = jurat.histogram(rule);
    const counts = h("p", { class: "counts-line" });
    const sliders = rule.movable && !table.stuck
      ? [slider(rule, "keep", "kept below", changed), slider(rule, "break", "broken above", changed)]
      : [];
    const was = tally(rule.outcome, 3);
    let fixed = 0;
    for (let i = 0; i < rule.free.length; i++) {
      fixed += rule.outcome[i] !== jurat.NONE && rule.free[i] === jurat.FIXED;
    }
    const show = () => {
      colour();
      for (const one of sliders) one.show();
      const is = tally(rule.now, 3);
      counts.textContent = ["broken", "undecided", "kept"].map((word, i) => `${word} ${moves(was[i], is[i])}`).join(" · ");
    };
    const notes = [];
    if (unscored) notes.push(`${unscored.toLocaleString("en")} without a score`);
    if (fixed && sliders.length) notes.push(`${fixed.toLocaleString("en")} stay as they are: not decided by their score alone`);
    if (!rule.movable && !table.stuck) notes.push("the thresholds it was decided by are not in the record");
    const element = h(
      "section",
      { class: "panel", "data-rule": rule.index },
      h("h3", {}, jurat.name(rule.id), rule.severity && h("span", { class: "aside" }, rule.severity)),
      chart,
      sliders.map((one) => one.element),
      counts,
      notes.length > 0 && h("p", { class: "small" }, notes.join("; ")),
    );
    return { rule, element, show };
  };

  const summary = (table) => {
    const [was, is] = [tally(table.outcome, 4), tally(table.now, 4)];
    let changed = 0;
    for (let i = 0; i < table.n; i++) changed += table.now[i] !== table.outcome[i];
    const verdicts = table.outcomes.map((word, i) => `${word} ${moves(was[i], is[i])}`).join(", ");
    return changed === 0
      ? `No verdict changes. ${verdicts}.`
      : `${jurat.count(changed, "verdict changes", "verdicts change")}: ${verdicts}.`;
  };

  // Draws the panels into the section; `refresh` is called when outcomes under trial have changed.
  jurat.drawScores = (table, refresh) => {
    const section = document.getElementById("trial");
    if (!section) return;
    const status = section.querySelector("[role=status]");
    const yaml = section.querySelector("textarea");
    const reset = section.querySelector(".reset");
    const tools = section.querySelector(".tools");
    let waiting = false;

    const update = () => {
      waiting = false;
      jurat.retryItems(table);
      for (const one of panels) if (one.dirty) one.show();
      for (const one of panels) one.dirty = false;
      status.textContent = summary(table);
      yaml.value = jurat.yaml(table);
      tools.hidden = yaml.value === "";
      refresh();
    };
    const changed = (rule) => {
      jurat.retryRule(rule);
      panels.find((one) => one.rule === rule).dirty = true;
      // A slider that is dragged fires faster than a page is drawn.
      if (!waiting) requestAnimationFrame(update);
      waiting = true;
    };
    const rules = [...table.rules].sort((a, b) => tally(b.outcome, 3)[0] - tally(a.outcome, 3)[0] || a.rank - b.rank);
    for (const rule of rules) panels.push(panel(table, rule, changed));
    section.querySelector(".panels").replaceChildren(...panels.map((one) => one.element));
    for (const one of panels) one.show();
    reset.addEventListener("click", () => {
      for (const one of panels) {
        one.rule.tried = { keep: one.rule.keep, break: one.rule.break };
        changed(one.rule);
      }
    });
    section.querySelector(".download").addEventListener("click", () => {
      const url = URL.createObjectURL(new Blob([yaml.value], { type: "text/yaml" }));
      h("a", { href: url, download: "thresholds.yaml" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
    section.querySelector(".which").addEventListener("click", () => jurat.showMoved());
  };
})();
