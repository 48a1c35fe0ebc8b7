"""The procedure: from an item and a constitution to a verdict.

`judge` composes pure steps: `plan` (what is to be asked), `quick` (asks it), `decide` (what the
answers establish) and `explain`. `presets` and `prompts` are data. Imported lazily, so that
the record can be read without loading the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jurat.judge.drafting.draft import Draft as Draft
    from jurat.judge.drafting.draft import draft_rules as draft_rules
    from jurat.judge.drafting.drafted_file import draft_file as draft_file
    from jurat.judge.judge import Judge as Judge
    from jurat.judge.presets import PRESETS as PRESETS
    from jurat.judge.presets import Preset as Preset
    from jurat.judge.record import arrow_schema as arrow_schema
    from jurat.judge.record import row_to_verdict as row_to_verdict
    from jurat.judge.record import verdict_to_row as verdict_to_row
    from jurat.judge.verdict import SCHEMA as SCHEMA
    from jurat.judge.verdict import AlternativeScore as AlternativeScore
    from jurat.judge.verdict import Finding as Finding
    from jurat.judge.verdict import RuleFinding as RuleFinding
    from jurat.judge.verdict import Verdict as Verdict

_WHERE = {
    "PRESETS": "presets",
    "SCHEMA": "verdict",
    "AlternativeScore": "verdict",
    "Draft": "drafting.draft",
    "Finding": "verdict",
    "Judge": "judge",
    "Preset": "presets",
    "RuleFinding": "verdict",
    "Verdict": "verdict",
    "arrow_schema": "record",
    "draft_file": "drafting.drafted_file",
    "draft_rules": "drafting.draft",
    "row_to_verdict": "record",
    "verdict_to_row": "record",
}

__all__ = [
    "PRESETS",
    "SCHEMA",
    "AlternativeScore",
    "Draft",
    "Finding",
    "Judge",
    "Preset",
    "RuleFinding",
    "Verdict",
    "arrow_schema",
    "draft_file",
    "draft_rules",
    "row_to_verdict",
    "verdict_to_row",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
