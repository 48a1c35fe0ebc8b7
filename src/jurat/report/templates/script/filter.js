"use strict";
// Which rows are shown, in which order: passes over typed arrays, each over what the one before it left.
(() => {
  // Row numbers in an order: group first, then the number that falls in [0, 1], then the row.
  const ranked = (n, group, fraction) => {
    const keys = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const part = fraction(i);
      const share = Number.isNaN(part) ? 0xfffff : Math.round(part * 0xffffe);
      keys[i] = (group(i) * 0x100000 + share) * 0x1000000 + i;
    }
    keys.sort();
    return Uint32Array.from(keys, (key) => key % 0x1000000);
  };

  // The gravest severity among the rules that made the item's outcome: 0 critical to 4 none stated, 7 no rule.
  const gravity = (table) => {
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

  const ORDERS = {
    gravest: (t) => {
      const rank = gravity(t);
      return ranked(t.n, (i) => 8 * t.outcome[i] + rank[i], (i) => 1 - t.score[i]);
    },
    high: (t) => ranked(t.n, () => 0, (i) => 1 - t.score[i]),
    low: (t) => ranked(t.n, () => 0, (i) => t.score[i]),
    doubtful: (t) => ranked(t.n, () => 0, (i) => 2 * Math.abs(t.score[i] - 0.5)),
    recorded: (t) => Uint32Array.from({ length: t.n }, (_, i) => i),
    name: (t) => Uint32Array.from({ length: t.n }, (_, i) => i).sort((a, b) => (t.names[a] < t.names[b] ? -1 : 1)),
  };
  const orders = new Map();

  jurat.order = (table, key) => {
    if (!orders.has(key)) orders.set(key, ORDERS[key](table));
    return orders.get(key);
  };

  // A pass over the rows that the one before it left: those whose code is in `mask` are written down.
  const narrow = (left, codes, mask) => {
    const { rows, length, out } = left;
    let kept = 0;
    for (let i = 0; i < length; i++) {
      const row = rows[i];
      if (mask[codes[row]]) out[kept++] = row;
    }
    left.rows = out;
    left.length = kept;
  };

  const within = (left, scores, low, high) => {
    const { rows, length, out } = left;
    let kept = 0;
    for (let i = 0; i < length; i++) {
      const row = rows[i];
      if (scores[row] >= low && scores[row] <= high) out[kept++] = row;
    }
    left.rows = out;
    left.length = kept;
  };

  const changed = (left, { before, outcome }) => {
    const { rows, length, out } = left;
    let kept = 0;
    for (let i = 0; i < length; i++) {
      const row = rows[i];
      if (before[row] !== outcome[row]) out[kept++] = row;
    }
    left.rows = out;
    left.length = kept;
  };

  const called = (left, lower, text) => {
    const { rows, length, out } = left;
    let kept = 0;
    for (let i = 0; i < length; i++) if (lower[rows[i]].includes(text)) out[kept++] = rows[i];
    left.rows = out;
    left.length = kept;
  };

  const only = (...codes) => {
    const mask = new Uint8Array(256);
    for (const code of codes) mask[code] = 1;
    return mask;
  };

  let scratch = new Uint32Array(0);
  let lower = null;

  // wanted: { outcomes: [codes], rule, reason, stage, change: [before, after], low, high, moved, name,
  // carried: [[column, code]], order }. What is not given does not narrow. The rows that are found are the
  // caller's until the next call.
  jurat.filter = (table, wanted) => {
    const order = jurat.order(table, wanted.order ?? "gravest");
    if (scratch.length !== table.n) scratch = new Uint32Array(table.n);
    const left = { rows: order, length: order.length, out: scratch };
    const rule = wanted.rule === undefined ? null : table.rules[wanted.rule];
    if (wanted.outcomes?.length) narrow(left, table.outcome, only(...wanted.outcomes));
    if (rule && table.before) changed(left, rule);
    else if (rule) narrow(left, rule.now, only(jurat.BROKEN, jurat.UNDECIDED));
    if (wanted.reason !== undefined) narrow(left, table.reason, only(wanted.reason));
    if (wanted.stage !== undefined) narrow(left, table.stage, only(wanted.stage));
    if (wanted.moved) narrow(left, table.moved, only(1));
    if (wanted.change) {
      narrow(left, table.before, only(wanted.change[0]));
      narrow(left, table.outcome, only(wanted.change[1]));
    }
    for (const [column, code] of wanted.carried ?? []) narrow(left, table.carried[column].codes, only(code));
    const [low, high] = [wanted.low ?? 0, wanted.high ?? 1];
    if (low > 0 || high < 1) within(left, rule ? rule.score : table.score, Math.fround(low), Math.fround(high));
    if (wanted.name) {
      lower ??= table.names.map((name) => name.toLowerCase());
      called(left, lower, wanted.name.toLowerCase());
    }
    return left.rows.subarray(0, left.length);
  };
})();
