"""Runs of verdicts: a verdict as a row of `jurat.runs.Run`, and the settings that verdicts depend on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jurat.files import count_rows
from jurat.judge.preset_settings import read_preset
from jurat.judge.record import arrow_schema, row_to_verdict, verdict_to_row
from jurat.judge.removed_parts import check_made_without
from jurat.judge.replay.redecide import Redecider, renewed
from jurat.models import full_name
from jurat.runs import Progress, RowSchema, Run, Shard
from jurat.runs.folder import Facts
from jurat.runs.schema import Row
from jurat.runs.settings import differences, settings_in

if TYPE_CHECKING:
    from jurat.judge.judge import Judge


def _upgrade(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of an earlier version in today's form. Raises JuratError for a removed part, and for a stage
    that is not installed."""
    check_made_without(str(settings.get("preset")))
    if isinstance(preset := settings.get("preset_settings"), dict):
        recorded = read_preset(cast("dict[str, Any]", preset)).settings
        del recorded["summary"]  # verdicts do not depend on how a preset is described
        settings["preset_settings"] = recorded
    return settings


def _constitution_text(facts: Facts) -> str:
    constitution = facts.get("constitution")
    return str(constitution.get("text", "")) if isinstance(constitution, Mapping) else ""


VERDICT_ROWS = RowSchema(
    arrow_schema,
    encode=verdict_to_row,
    error_values={"reason": "error", "broken": [], "rules": []},
    upgrade=_upgrade,
    text_of=_constitution_text,
)
"""The rows of verdicts."""


def open_verdict_run(
    folder: Path | str,
    judge: Judge,
    *,
    allow_unknown: bool = False,
    source: Mapping[str, Any] | None = None,
    shard: Shard | None = None,
    fresh: bool = False,
    retry_errors: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> Run:
    """Opens a folder for the verdicts of a judge: a new run, or one that is resumed.

    Where only thresholds, severities or actions differ from the run's, its verdicts are decided again first,
    from their records; `run.rewriter` is then a `Redecision`.

    Args:
        source: settings of where items come from, if verdicts depend on them.
        shard, fresh, retry_errors, watch: as `jurat.runs.Run` takes them.

    Raises:
        JuratError: as `jurat.runs.Run` does.
    """

    def adapt(old: Facts, new: Facts) -> Redecision | None:
        was, now = (settings_in(facts, VERDICT_ROWS) for facts in (old, new))
        same = {**was, "thresholds": None} == {**now, "thresholds": None}
        return Redecision(judge, old, new) if same else None

    return Run(
        folder,
        VERDICT_ROWS,
        _settings(judge, allow_unknown, source or {}),
        facts=_facts(judge),
        shard=shard,
        fresh=fresh,
        retry_errors=retry_errors,
        adapt=adapt,
        watch=watch,
    )


class Redecision:
    """Decides recorded verdicts again under the thresholds that the constitution has now."""

    def __init__(self, judge: Judge, old: Facts, new: Facts) -> None:
        self._constitution = judge.constitution
        self._redecide = Redecider(judge.rules, judge.rules, judge.preset, judge.calibration)
        self._was = settings_in(old, VERDICT_ROWS).get("thresholds")
        self._differences = differences(old, new, VERDICT_ROWS)
        self._counts: Counter[str] = Counter()

    def __call__(self, row: dict[str, Any]) -> Row | None:
        self._counts["rows"] += 1
        before = row_to_verdict(row)
        after = self._redecide(before)
        if after is None:
            self._counts["judged anew"] += 1
            return None
        after = renewed(before, after, self._constitution)
        self._counts["otherwise"] += before.decision != after.decision
        return verdict_to_row(after)

    def note(self) -> dict[str, Any]:
        counts = {name: self._counts[name] for name in ("rows", "otherwise", "judged anew")}
        return {"redecided": {"from": self._was, **counts}}

    def lines(self, folder: Path) -> list[str]:
        """A summary for the user."""
        anew = self._counts["judged anew"]
        lines = [f"Only thresholds, severities or actions differ from those of the run in {folder}:"]
        lines += self._differences
        lines.append(
            f"{count_rows(self._counts['rows'] - anew)} decided again from the scores on record, with no call"
            f" of the model: {self._counts['otherwise']:,} came out otherwise."
        )
        if anew:
            whose = "its record does" if anew == 1 else "their records do"
            lines.append(f"{count_rows(anew)} judged anew: {whose} not hold what that takes.")
        return lines


def _settings(judge: Judge, allow_unknown: bool, source: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that verdicts depend on."""
    return {
        "model": full_name(judge.model),
        "dtype": judge.model.dtype,
        "constitution": judge.constitution.digest,
        "thresholds": judge.constitution.thresholds_digest,
        "preset": judge.preset.name,
        "preset_settings": judge.preset.settings,
        "prompts": judge.prompts,
        "calibration": None if judge.calibration is None else judge.calibration.digest,
        "detector": full_name(judge.detector),
        "matcher": full_name(judge.matcher),
        "allow_unknown": allow_unknown,
        "frames": [judge.sampling.fps, judge.sampling.frames, judge.frames_needed],
        **source,
    }


def _facts(judge: Judge) -> dict[str, Any]:
    """Other facts that `_run.json` holds about the judge."""
    from jurat.constitution import to_yaml
    from jurat.judge.prompts import REASONING, WORDINGS

    law = judge.constitution
    told = ("id", "rule", "severity", "action", "keep_below", "break_above")
    rules = [{name: getattr(rule, name) for name in told} for rule in law.rules]
    bounds = ("keep_below", "break_above")
    return {
        "constitution": {
            "name": law.name,
            "version": law.version,
            "digest": law.digest,
            "text": to_yaml(law),
            "rules": rules,
        },
        "thresholds": {rule["id"]: {name: rule[name] for name in bounds} for rule in rules},
        "calibration": None
        if judge.calibration is None
        else judge.calibration.model_dump(mode="json", by_alias=True),
        "prompts": {kind: asdict(cast(Any, wording)) for kind, wording in WORDINGS.items()},
        "reasoning": None if judge.reasoning is None else asdict(REASONING[judge.reasoning]),
    }
