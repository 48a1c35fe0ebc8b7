"""A run whose constitution has other thresholds now: what is recorded is decided again from its scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from jurat.cli.settings_difference import differences, settings_in

if TYPE_CHECKING:
    from jurat.judge import Judge
    from jurat.runs.folder import RunSink


def redecide_run(
    sink: RunSink,
    judge: Judge,
    old: Mapping[str, Any],
    new: dict[str, Any],
    session: dict[str, Any],
    *,
    quiet: bool,
) -> str:
    """Decides what is recorded again under the thresholds that the constitution has now; what came of it."""
    from rich.console import Console

    from jurat.cli.progress import progress
    from jurat.files import count_rows
    from jurat.judge import arrow_schema, row_to_verdict, verdict_to_row
    from jurat.judge.replay.redecide import Redecider, renewed
    from jurat.runs.folder import run_rows
    from jurat.runs.rewrite import rewrite_run

    law = judge.constitution
    redecide = Redecider(judge.rules, judge.rules, judge.preset, judge.calibration)
    rows: Counter[str] = Counter()

    def again(row: dict[str, Any]) -> Mapping[str, Any] | None:
        rows["all"] += 1
        advance()
        before = row_to_verdict(row)
        after = redecide(before)
        if after is None:
            rows["anew"] += 1
            return None
        after = renewed(before, after, law)
        rows["otherwise"] += before.decision != after.decision
        return verdict_to_row(after)

    def facts() -> dict[str, Any]:
        counts = {"rows": rows["all"], "otherwise": rows["otherwise"], "judged anew": rows["anew"]}
        session["redecided"] = {"from": settings_in(old).get("thresholds"), **counts}
        return {**new, "sessions": [*cast("list[Any]", old.get("sessions", [])), session]}

    def count() -> int:
        return sum(1 for _ in run_rows(sink.folder, ["occurrence"]))

    with progress(Console(stderr=True), count, shown=not quiet, doing="deciding again") as advance:
        rewrite_run(sink, arrow_schema(), again, facts)
    lines = [f"Only thresholds, severities or actions differ from those of the run in {sink.folder}:"]
    lines += differences(old, new)
    lines.append(
        f"{count_rows(rows['all'] - rows['anew'])} decided again from the scores on record, with no call of"
        f" the model: {rows['otherwise']:,} came out otherwise."
    )
    if rows["anew"]:
        whose = "its record does" if rows["anew"] == 1 else "their records do"
        lines.append(f"{count_rows(rows['anew'])} judged anew: {whose} not hold what that takes.")
    return "\n".join(lines)
