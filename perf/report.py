"""How long the page of a large run takes to answer a filter, in Chromium, beside a bare pass over its arrays.

    python perf/report.py [--n 100000] [--runs 15] [--json FILE] [--markdown FILE]

The run is made of two verdicts, one that breaks a rule and one that does not, again and again under other ids
and scores, without pictures. A bare pass is one hand-written loop over the same typed arrays, in the same
order, with the same question, that writes down the rows which fit. The page's filter asks any question, one
array after the other; it may take three times as long. The time to draw the first cards is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import Row, bar, options, provenance, report, table

BAR = 3.0
COLUMNS = {
    "filter": "{filter}",
    "rows found": "{found:,}",
    "bare pass, ms": "{bare:.3f}",
    "page, ms": "{page:.3f}",
    "ratio": "{ratio:.2f}",
}
FILTERS = {
    "an outcome": ("{outcomes: [0]}", "outcome[r] === 0"),
    "two outcomes": ("{outcomes: [0, 3]}", "outcome[r] === 0 || outcome[r] === 3"),
    "a rule": ("{rule: 0}", "rule[r] < 2"),
    "an outcome, a rule and a range of scores": (
        "{outcomes: [0], rule: 0, low: 0.3, high: 0.9}",
        "outcome[r] === 0 && rule[r] < 2 && score[r] >= low && score[r] <= high",
    ),
}
"""What the page is asked, and the same as the condition of a bare loop over row `r`."""
MEASURE = """
([wanted, condition, runs]) => {
  const t = jurat.table;
  const order = jurat.order(t, "gravest");
  const bare = new Function("order", "outcome", "rule", "score", "out", `
    const low = Math.fround(0.3), high = Math.fround(0.9);
    let n = 0;
    for (let i = 0; i < order.length; i++) { const r = order[i]; if (${condition}) out[n++] = r; }
    return n;`);
  const asked = new Function(`return ${wanted}`)();
  const out = new Uint32Array(t.n);
  const arrays = [order, t.outcome, t.rules[0].outcome, t.rules[0].score, out];
  // As many passes as the clock of a page needs, which is coarse on purpose.
  const timed = (work) => {
    const start = performance.now();
    let passes = 0;
    while (performance.now() - start < 10) { work(); passes++; }
    return (performance.now() - start) / passes;
  };
  const taken = { bare: [], page: [] };
  for (let turn = 0; turn <= runs; turn++) {
    const pair = [timed(() => bare(...arrays)), timed(() => jurat.filter(t, asked))];
    if (turn) { taken.bare.push(pair[0]); taken.page.push(pair[1]); }
  }
  const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const same = bare(...arrays) === jurat.filter(t, asked).length;
  return { bare: median(taken.bare), page: median(taken.page), found: jurat.filter(t, asked).length, same };
}
"""
CLICK = """
() => {
  const start = performance.now();
  document.querySelector("[data-outcome=unsafe]").click();
  return [performance.now() - start, document.querySelectorAll(".card").length];
}
"""


def write_run(path: Path, rows: int) -> None:
    """A run of `rows` verdicts, every seventh of which breaks the rule."""
    from jurat.judge import AlternativeScore, Finding, RuleFinding, Verdict, verdict_to_row

    def verdict(score: float) -> dict[str, Any]:
        outcome = "holds" if score > 0.8 else "fails"
        one = AlternativeScore(text="A dog is visible.", score=score, baseline=0.3, mass=1.0, outcome=outcome)
        common: dict[str, Any] = {"score": score, "decided_by": "quick", "reason": None}
        clause = Finding(
            text=one.text,
            role="clause",
            outcome=outcome,
            baseline=0.3,
            mass=1.0,
            alternatives=(one,),
            **common,
        )
        broken = score > 0.8
        rule = RuleFinding(
            id="dog", outcome="broken" if broken else "kept", severity="low", clauses=(clause,), **common
        )
        facts = dict.fromkeys(
            ("model", "constitution", "thresholds", "prompts", "dtype", "jurat"), "none@none"
        )
        return verdict_to_row(
            Verdict(
                decision="-", time="2026-01-01T00:00:00.000Z", id="-", uri="", sha256=None,
                width=None, height=None,
                outcome="unsafe" if broken else "safe", broken=("dog",) if broken else (), reason=None,
                rules=(rule,), preset="quick", seconds=0.01, error=None, **facts,
            )
        )  # fmt: skip

    made = [json.dumps(verdict(0.82 + n / 60 if n < 10 else n / 400)) for n in range(70)]
    with path.open("w", encoding="utf-8") as file:
        for n in range(rows):
            file.write(made[(n * 37) % 70].replace('"id": "-"', f'"id": "pics/{n:07}.png"', 1) + "\n")


def measure(page_file: Path, runs: int) -> tuple[list[Row], dict[str, float]]:
    from playwright.sync_api import sync_playwright

    names = (os.environ.get("JURAT_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit("Chromium is not installed (package 'chromium', or name it in JURAT_CHROMIUM)")
    rows: list[Row] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        # The measuring code is made of text, which the page's own policy forbids.
        page = browser.new_context(bypass_csp=True, offline=True).new_page()
        start = time.perf_counter()
        page.goto(page_file.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
        opening = time.perf_counter() - start
        for name, (wanted, condition) in FILTERS.items():
            found = page.evaluate(MEASURE, [wanted, condition, runs])
            if not found.pop("same"):
                raise SystemExit(f"the page and the bare pass found different rows for {name}")
            rows.append({"filter": name, **found, "ratio": found["page"] / found["bare"]})
        drawing, cards = page.evaluate(CLICK)
        version = browser.version
        browser.close()
    return rows, {"opening": opening, "click": drawing, "cards": cards, "chromium": version}


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--n", type=int, default=100_000, help="rows")
    args = parser.parse_args(argv)

    from jurat.report import write_report

    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "verdicts.jsonl"
        write_run(record, args.n)
        start = time.perf_counter()
        page = write_report(record, Path(folder) / "report")
        writing = time.perf_counter() - start
        rows, told = measure(page.path, args.runs)
        size = sum(path.stat().st_size for path in Path(folder, "report").rglob("*")) / 2**20
    met, line = bar("a filter, in bare passes", max(row["ratio"] for row in rows), BAR, most=True)
    lines = (
        f"{args.n:,} rows: written in {writing:.0f} s, {size:.0f} MiB; opened in {told['opening']:.1f} s; "
        f"a click on an outcome, with {told['cards']:.0f} cards drawn, takes {told['click']:.0f} ms."
    )
    origin = provenance("report.py", argv, rows=args.n, chromium=told["chromium"])
    report(args, origin, rows, [table(rows, COLUMNS), lines, line])
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
