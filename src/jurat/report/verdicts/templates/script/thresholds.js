"use strict";
// Outcomes of recorded scores under other thresholds, by the table of jurat.report.verdicts.redecide_scores.
jurat.FIXED = 0;

jurat.BROKEN = 0;
jurat.UNDECIDED = 1;
jurat.KEPT = 2;

// The outcomes of one rule in every row, into rule.now. rule.decides says for each kind of row what a score above,
// between and below the thresholds comes to; a row of a kind that it does not have stays as it is.
jurat.retryRule = (rule) => {
  const { outcome, score, free, now, decides } = rule;
  if (rule.tried.keep === rule.keep && rule.tried.break === rule.break) {
    now.set(outcome);
    return;
  }
  // Scores were rounded to single precision: so are thresholds, that equal ones stay equal.
  const above = Math.fround(rule.tried.break);
  const below = Math.fround(Math.min(rule.tried.keep, rule.tried.break));
  for (let i = 0; i < now.length; i++) {
    const row = decides[free[i]];
    now[i] = row ? row[score[i] > above ? 0 : score[i] < below ? 2 : 1] : outcome[i];
  }
};

// The outcomes of the items, into table.now; table.moved marks those of which anything changes.
jurat.retryItems = (table) => {
  const { rules, outcome, now, moved } = table;
  now.set(outcome);
  moved.fill(0);
  for (const rule of rules) {
    for (let i = 0; i < now.length; i++) if (rule.now[i] !== rule.outcome[i]) moved[i] = 1;
  }
  const [unsafe, unsure, safe] = ["unsafe", "unsure", "safe"].map((name) => table.outcomes.indexOf(name));
  for (let i = 0; i < now.length; i++) {
    if (!moved[i]) continue;
    let worst = jurat.KEPT;
    for (const rule of rules) if (rule.now[i] < worst) worst = rule.now[i];
    now[i] = worst === jurat.BROKEN ? unsafe : worst === jurat.UNDECIDED ? unsure : safe;
  }
};

// The thresholds that were moved, as a fragment of the constitution's YAML.
jurat.yaml = (table) => {
  const changed = table.rules.filter((rule) => rule.tried.keep !== rule.keep || rule.tried.break !== rule.break);
  if (changed.length === 0) return "";
  const round = (value) => Number(value.toFixed(4));
  const lines = changed.flatMap((rule) => [
    `  - id: ${JSON.stringify(rule.id)}`,
    `    keep_below: ${round(Math.min(rule.tried.keep, rule.tried.break))}`,
    `    break_above: ${round(rule.tried.break)}`,
  ]);
  return `rules:\n${lines.join("\n")}\n`;
};
