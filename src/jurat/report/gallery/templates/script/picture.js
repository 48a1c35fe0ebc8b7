"use strict";
// One picture: blurred, with a button that shows it, and the boxes of what was seen, which stand on the blur too.
(() => {
  const { h, svg } = jurat;

  const alt = (table, row) =>
    `${jurat.short(table.names[row])}, judged ${table.outcomes[table.outcome[row]]}${jurat.hooks.describe(table, row)}`;

  jurat.short = (name) => name.slice(name.lastIndexOf("/") + 1) || name;

  jurat.framed = (table, row) => {
    const url = jurat.picture(row);
    if (!url) {
      const why = table.missing[row] ?? "This page was made without a picture of this item (--limit).";
      return h("div", { class: "picture" }, h("p", { class: "missing" }, why));
    }
    const [width, height] = table.pictures[row];
    const veil = h(
      "button",
      {
        type: "button",
        class: "veil",
        "aria-pressed": "false",
        "aria-label": `Show picture of ${jurat.short(table.names[row])}`,
        click: () => jurat.reveal(veil),
      },
      h("span", {}, "Show"),
    );
    const image = h("img", { src: url, width, height, alt: alt(table, row), decoding: "async", draggable: "false" });
    return h("div", { class: "picture" }, image, veil);
  };

  const overlap = (a, b) => {
    const width = Math.min(a.x1, b.x1) - Math.max(a.x0, b.x0);
    const height = Math.min(a.y1, b.y1) - Math.max(a.y0, b.y0);
    return width > 0 && height > 0 ? width * height : 0;
  };
  const area = (box) => (box.x1 - box.x0) * (box.y1 - box.y0);

  // One box where several words were seen in the same place.
  const merged = (seen, texts) => {
    const boxes = [];
    for (const [word, score, x0, y0, x1, y1] of seen) {
      const box = { x0, y0, x1: Math.max(x0, x1), y1: Math.max(y0, y1), words: [texts[word]], scores: [score] };
      const same = boxes.find((one) => overlap(one, box) > 0.8 * Math.max(area(one), area(box)));
      if (!same) boxes.push(box);
      else if (!same.words.includes(texts[word])) {
        same.words.push(texts[word]);
        same.scores.push(score);
      }
    }
    return boxes;
  };

  // Where a label stands: above its box, below it or inside, the first place where no other one is.
  const placed = (box, size, item, taken) => {
    const label = box.words.join(" / ");
    const width = Math.min(0.56 * size * label.length, item.width);
    const x = Math.max(0, Math.min(box.x0, item.width - width));
    const lines = [box.y0 - 0.35 * size, box.y1 + size, box.y0 + 1.05 * size, box.y1 - 0.4 * size];
    const spots = lines
      .filter((y) => y > size && y < item.height)
      .map((y) => ({ x0: x, x1: x + width, y0: y - size, y1: y + 0.25 * size, y }));
    const spot = spots.find((one) => !taken.some((other) => overlap(one, other))) ?? spots[0];
    if (!spot) return null;
    taken.push(spot);
    return svg("text", { x, y: spot.y, "font-size": size }, label);
  };

  jurat.boxes = (table, item) => {
    const seen = jurat.hooks.regions(item);
    if (!seen.length || !item.width || !item.height) return null;
    const size = 0.046 * Math.max(item.width, item.height);
    const boxes = merged(seen, table.texts);
    const taken = [];
    const drawn = boxes.map((box) => [
      svg(
        "rect",
        { x: box.x0, y: box.y0, width: box.x1 - box.x0, height: box.y1 - box.y0 },
        svg("title", {}, box.words.map((word, i) => `${word} ${jurat.number(box.scores[i])}`).join(", ")),
      ),
    ]);
    const labels = boxes.map((box) => placed(box, size, item, taken));
    return svg(
      "svg",
      {
        class: "regions",
        viewBox: `0 0 ${item.width} ${item.height}`,
        role: "img",
        "aria-label": `Seen: ${[...new Set(boxes.flatMap((box) => box.words))].join(", ")}`,
      },
      drawn,
      labels.filter(Boolean),
    );
  };
})();
