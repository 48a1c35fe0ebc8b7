"use strict";
// What verdicts add to the gallery: rules on the cards, boxes of what broke them, and filters by rule, reason and stage.
(() => {
  const { h, hooks } = jurat;
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

  hooks.details = (table, row) => {
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

  hooks.describe = (table, row) => {
    const broken = table.rules.filter((rule) => rule.outcome[row] === jurat.BROKEN).map((rule) => rule.id);
    return broken.length ? `: breaks ${broken.join(", ")}` : "";
  };

  hooks.chips = (table, row) => {
    const would = table.now[row] !== table.outcome[row] && table.outcomes[table.now[row]];
    const mark = jurat.marked(table, row);
    return [would && [" ", h("span", { class: `chip would ${would}` }, `would be ${would}`)], mark && [" ", mark]];
  };

  // Boxes of broken and undecided rules, in the frame that is shown: number of the word -> regions.
  hooks.regions = (item) => {
    const found = new Map();
    for (const rule of item.rules) {
      if (rule.outcome === "kept" || rule.frame !== undefined) continue;
      for (const clause of rule.clauses ?? []) {
        for (const one of [clause, ...(clause.alternatives ?? [])]) {
          for (const region of one.regions ?? []) found.set(region.join(), region);
        }
      }
    }
    return [...found.values()];
  };

  // The gravest severity among the rules that made the item's outcome: 0 critical to 4 none stated, 7 no rule.
  hooks.gravity = (table) => {
    const rank = new Uint8Array(table.n).fill(7);
    const worst = new Uint8Array(table.n).fill(jurat.KEPT);
    for (const rule of table.rules) {
      for (let i = 0; i < table.n; i++) {
        const code = rule.outcome[i];
        if (code > worst[i] || code === jurat.NONE) continue;
        rank[i] = code < worst[i] ? rule.rank : Math.min(rank[i], rule.rank);
        worst[i] = code;
      }
    }
    return rank;
  };

  hooks.filter = (table, wanted, left) => {
    const { narrow, changed, only } = jurat.passes;
    const rule = wanted.rule === undefined ? null : table.rules[wanted.rule];
    if (rule && table.before) changed(left, rule);
    else if (rule) narrow(left, rule.now, only(jurat.BROKEN, jurat.UNDECIDED));
    if (wanted.reason !== undefined) narrow(left, table.reason, only(wanted.reason));
    if (wanted.stage !== undefined) narrow(left, table.stage, only(wanted.stage));
    if (wanted.moved) narrow(left, table.moved, only(1));
    return rule ? rule.score : table.score;
  };

  hooks.wanted = (form, code) => ({
    rule: code("rule"),
    reason: code("reason"),
    stage: code("stage"),
    moved: form.elements.moved.checked,
  });

  const present = (codes, names) => {
    const there = new Set(codes);
    return names.map((name, i) => [i, name]).filter(([i]) => there.has(i));
  };

  hooks.controls = (table, choose) => {
    const rules = table.rules.filter((rule) =>
      table.before ? rule.outcome.some((one, i) => one !== rule.before[i]) : rule.outcome.some((one) => one < jurat.KEPT),
    );
    const asked = [choose("rule", "Rule", rules.map((rule) => [rule.index, rule.id]))];
    const reasons = present(table.reason, table.reasons);
    const stages = present(table.stage, table.stages);
    if (reasons.length) asked.push(choose("reason", "Reason", reasons));
    if (stages.length > 1) asked.push(choose("stage", "Stage", stages));
    return asked;
  };

  // Thresholds and outcomes under trial start as they are recorded.
  hooks.unpack = (packed) => {
    const { bytes, floats } = jurat;
    const rules = packed.rules.map((rule, index) => ({
      ...rule,
      index,
      outcome: bytes(rule.outcome),
      score: floats(rule.score),
      free: bytes(rule.free),
      before: bytes(rule.before ?? ""),
      now: bytes(rule.outcome),
      tried: { keep: rule.keep, break: rule.break },
      decides: packed.decides,
    }));
    const labels = packed.labels && { ...packed.labels, tails: new Uint32Array(bytes(packed.labels.tails).buffer) };
    return {
      rules,
      now: bytes(packed.outcome),
      moved: new Uint8Array(packed.n),
      reason: bytes(packed.reason),
      stage: bytes(packed.stage),
      labels,
    };
  };

  hooks.prepare = (table) => jurat.wireLabels(table);

  const { moved } = document.querySelector(".filters").elements;

  // Shows the items that the thresholds under trial would change.
  jurat.showMoved = () => {
    moved.checked = true;
    jurat.refilter(true);
  };

  hooks.start = (table) =>
    jurat.drawScores(table, () => {
      const trying = table.rules.some((rule) => rule.now.some((one, i) => one !== rule.outcome[i]));
      document.querySelector(".only-moved").hidden = !trying;
      if (!trying && moved.checked) moved.checked = false;
      else if (!moved.checked) return jurat.retitle(table);
      jurat.refilter();
    });
})();
