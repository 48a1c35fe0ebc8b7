"""What a judge is opened with: its vision models and its calibration, and the check that its model knows the
words of the constitution."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jurat.constitution import Constitution
from jurat.errors import JuratError
from jurat.judge.calibrate.calibration import Calibration, load_calibration
from jurat.judge.decision import LogOdds
from jurat.judge.presets import Preset
from jurat.judge.prompts import WORDINGS
from jurat.judge.questions import PlannedRule, askers, negated, questions
from jurat.judge.stages.base import Need
from jurat.models import Model, StatementReader, Vocabulary, full_name
from jurat.models.model_spec import DEFENDED_BY

__all__ = ["check_vision", "check_words", "open_calibration", "open_vision", "unread_rules"]

_SHIPPED = ("bundled", "naive")
"""Models for which the bundled detector and matcher are the default."""
_SUGGESTED = {
    "detector": "hf/google/owlv2-base-patch16-ensemble",
    "matcher": "hf/openai/clip-vit-base-patch16",
}


def _is_shipped(model: Model) -> bool:
    """Whether it is one of `_SHIPPED`, under defenses or not."""
    return model.name.partition(DEFENDED_BY)[0] in _SHIPPED


def check_vision(preset: Preset, model: Model, detector: Any, matcher: Any) -> None:
    """Refuses a missing detector and a missing matcher in one message."""
    shipped = _is_shipped(model)
    wanted: tuple[tuple[Need, Any], ...] = (("detector", detector), ("matcher", matcher))
    absent = {
        need: parts
        for need, given in wanted
        if (parts := preset.needing(need)) and (given == "none" or (given is None and not shipped))
    }
    if absent:
        without = dict.fromkeys(part for parts in absent.values() for part in parts)
        one = len(absent) == 1
        raise JuratError(
            f"The preset {preset.name!r} needs {' and '.join(f'a {need}' for need in absent)}, and "
            f"{'none was' if one else 'neither was'} named.",
            hint=f"Name {'one' if one else 'them'}: "
            + " ".join(f"--{need} {_SUGGESTED[need]}" for need in absent)
            + f"; or leave out what needs {'it' if one else 'them'}: "
            + " ".join(f"--without {part}" for part in without),
        )


def open_vision(preset: Preset, model: Model, given: Any, need: Need) -> Any:
    """The detector or matcher that the preset needs, or would use; None where it uses none."""
    shipped = given is None and _is_shipped(model)
    given = None if given == "none" else given
    if not preset.uses(need):
        return None
    if not preset.needing(need) and given is None and not shipped:
        return None
    if given is not None and not isinstance(given, str):
        return given
    from jurat.models.vision import open_detector, open_matcher

    return (open_detector if need == "detector" else open_matcher)(given or "bundled")


def open_calibration(
    given: Calibration | str | Path | None,
    preset: Preset,
    model: Model,
    prompts: str,
    constitution: Constitution,
) -> Calibration | None:
    """The calibration that was named, for this model, wording and constitution.

    Raises:
        JuratError: it cannot be read, or was fitted for something else.
    """
    if given is None:
        return None
    calibration = given if isinstance(given, Calibration) else load_calibration(given)
    if not isinstance(preset.decision, LogOdds):
        raise JuratError(f"The preset {preset.name!r} has constants of its own: it takes no calibration.")
    calibration.check(
        model=full_name(model),
        prompts=prompts,
        constitution=constitution,
        views=preset.views,
        presence=preset.presence,
    )
    return calibration


def unread_rules(model: Model, rules: Sequence[PlannedRule]) -> str | None:
    """A note that rules are asked as whole texts, which the model may misread; None if no rule is."""
    whole = [question for question in questions(rules) if question.kind == "rule"]
    if model.capability(StatementReader) is None or not whole:
        return None
    ids = [id for question in whole for id in askers(rules, question)]
    named = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
    return (
        f"The whole text of {named} was asked as one question. Only its words were checked: the model "
        "may read a negation or an exception as its opposite, which is checked in clauses only."
    )


def check_words(model: Model, rules: Sequence[PlannedRule]) -> None:
    """Refuses a constitution with words that the model never learned, before anything is judged."""
    vocabulary, reader = model.capability(Vocabulary), model.capability(StatementReader)
    if vocabulary is None and reader is None:
        return

    def unknown_in(text: str) -> list[str]:
        return [] if vocabulary is None else vocabulary.unknown_words(text)

    asked = questions(rules)
    lines: list[str] = []
    read = [question for question in asked if not question.plain]
    for kind, wording in {question.kind: WORDINGS[question.kind] for question in read}.items():
        if unknown := unknown_in(wording.instruction):
            words = ", ".join(repr(word) for word in unknown)
            ids = dict.fromkeys(id for q in read if q.kind == kind for id in askers(rules, q))
            lines.append(f"  {words} in how it is asked about {wording.ground}, of {', '.join(ids)}")
    unread = {q for q in read if unknown_in(WORDINGS[q.kind].instruction)}
    misread = 0
    for question in asked:
        shown = WORDINGS[question.kind].ask(question.text) if question.plain else question.text
        of, advice = ", ".join(askers(rules, question)), ""
        if reader is not None and question.kind == "statement":
            advice = reader.refusal(question.text) or ""
            if any(negated(rules, question)):  # a double negation is the positive statement
                advice = re.sub(r"`not: (.*)`$", r"`\1` without `not:`", advice)
        if unknown := unknown_in(shown):
            unread.add(question)
            words, near = ", ".join(repr(word) for word in unknown), advice.partition("; ")[2]
            meant = f"; {near}" if near.startswith("did you mean") else ""
            lines.append(f"  {words} in {question.text!r} of {of}{meant}")
        elif advice:
            misread += 1
            lines.append(f"  {question.text!r} of {of}: {advice}")
    if lines:
        n, what = len(asked), f"The model {model.name!r}"
        if len(lines) == misread:
            what += f" would answer {misread} of the {n} statements of this constitution wrongly"
        else:
            what += f" never learned some words of this constitution, in {len(unread)} of its {n} questions"
            what += f", and would answer {misread} more wrongly" if misread else ""
        raise JuratError(
            f"{what}: name another model (--model), use words and sentences that it knows (of the "
            "bundled model: docs/pictograms.md), or pass --allow-unknown, which leaves what depends on "
            "them undecided.",
            hint=f"These are the {'statements' if len(lines) == misread else 'words'}:\n" + "\n".join(lines),
        )
