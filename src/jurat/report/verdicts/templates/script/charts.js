"use strict";
// Scores of one rule as bars, in the colours of what the thresholds make of them.
(() => {
  const BINS = 40;
  const HEIGHT = 44;

  jurat.histogram = (rule) => {
    const { svg } = jurat;
    const counts = new Uint32Array(BINS);
    let unscored = 0;
    for (let i = 0; i < rule.score.length; i++) {
      const score = rule.score[i];
      if (Number.isNaN(score)) unscored += rule.outcome[i] !== jurat.NONE;
      else counts[Math.min(BINS - 1, Math.floor(score * BINS))] += 1;
    }
    const most = Math.max(1, ...counts);
    const bars = [...counts].map((count, i) => {
      if (count === 0) return null;
      // Most scores lie at the ends: roots let the few between them be seen.
      const height = Math.max(1.5, HEIGHT * Math.sqrt(count / most));
      const middle = (i + 0.5) / BINS;
      return svg(
        "rect",
        { "data-at": middle, x: (200 * i) / BINS + 0.4, y: HEIGHT - height, width: 200 / BINS - 0.8, height },
        svg("title", {}, `${(i / BINS).toFixed(3)} to ${((i + 1) / BINS).toFixed(3)}: ${count}`),
      );
    });
    const lines = ["keep", "break"].map((which) => svg("line", { class: which, y1: 0, y2: HEIGHT + 4 }));
    const chart = svg(
      "svg",
      {
        class: "histogram",
        viewBox: `0 0 200 ${HEIGHT + 4}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": `Scores of ${rule.id}, from 0 to 1; heights are roots of counts, at most ${most}`,
      },
      svg("line", { class: "floor", x1: 0, x2: 200, y1: HEIGHT, y2: HEIGHT }),
      bars,
      rule.movable && lines,
    );
    return { chart, unscored, colour: () => colour(rule, bars, lines) };
  };

  const colour = (rule, bars, lines) => {
    const { keep, break: break_ } = rule.tried;
    for (const bar of bars) {
      if (!bar) continue;
      const at = Number(bar.dataset.at);
      bar.setAttribute("class", !rule.movable ? "plain" : at > break_ ? "unsafe" : at < keep ? "safe" : "unsure");
    }
    if (!rule.movable) return;
    [keep, break_].forEach((at, i) => {
      lines[i].setAttribute("x1", 200 * at);
      lines[i].setAttribute("x2", 200 * at);
    });
  };
})();
