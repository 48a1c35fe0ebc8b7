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

  const ORDERS = {
    gravest: (t) => {
      const rank = jurat.hooks.gravity(t);
      return ranked(t.n, (i) => 8 * t.outcome[i] + (rank ? rank[i] : 0), (i) => 1 - t.score[i]);
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

  jurat.passes = { narrow, changed, only };

  let scratch = new Uint32Array(0);
  let lower = null;

  // wanted: { outcomes: [codes], change: [before, after], low, high, name, carried: [[column, code]], order } and what
  // the hook `filter` reads. What is not given does not narrow. The rows are valid until the next call.
  jurat.filter = (table, wanted) => {
    const order = jurat.order(table, wanted.order ?? "gravest");
    if (scratch.length !== table.n) scratch = new Uint32Array(table.n);
    const left = { rows: order, length: order.length, out: scratch };
    if (wanted.outcomes?.length) narrow(left, table.outcome, only(...wanted.outcomes));
    const scores = jurat.hooks.filter(table, wanted, left);
    if (wanted.change) {
      narrow(left, table.before, only(wanted.change[0]));
      narrow(left, table.outcome, only(wanted.change[1]));
    }
    for (const [column, code] of wanted.carried ?? []) narrow(left, table.carried[column].codes, only(code));
    const [low, high] = [wanted.low ?? 0, wanted.high ?? 1];
    if (low > 0 || high < 1) within(left, scores, Math.fround(low), Math.fround(high));
    if (wanted.name) {
      lower ??= table.names.map((name) => name.toLowerCase());
      called(left, lower, wanted.name.toLowerCase());
    }
    return left.rows.subarray(0, left.length);
  };
})();
