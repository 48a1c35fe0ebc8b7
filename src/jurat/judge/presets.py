"""Presets: which stages run, in which order, with which settings, and how scores become outcomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from dataclasses import replace as copy_with
from functools import cached_property
from typing import Any, Literal, TypeVar

from jurat.errors import JuratError
from jurat.judge.decision import Clue, Decision, LogOdds
from jurat.judge.removed_parts import REMOVED, removed_part
from jurat.judge.stages.base import Need, Stage
from jurat.judge.stages.crop import Crop
from jurat.judge.stages.points import Points
from jurat.judge.stages.quick import Quick
from jurat.judge.stages.reason import Reason
from jurat.judge.stages.regions import Regions
from jurat.judge.stages.relevance import Relevance
from jurat.judge.stages.views import Views
from jurat.registry import Entry, Registry, suggestion

__all__ = [
    "DEFAULT",
    "NAMED_PRESETS",
    "PARTS",
    "PRESETS",
    "Preset",
    "find_preset",
]

S = TypeVar("S", bound=Stage)


@dataclass(frozen=True)
class Preset:
    """How images are judged. See `docs/judging.md` for what each setting does.

    Preset("mine", stages=(Quick(), Views(margin=0.05)), decision=LogOdds(keep_below=0.1, break_above=0.9))
    """

    name: str
    summary: str = ""
    stages: tuple[Stage, ...] = (Quick(),)
    """In the order in which they run; `quick` is one of them, and each name is unique."""
    decision: Decision = field(default_factory=LogOdds)
    """How the score of a statement becomes its outcome."""

    def __post_init__(self) -> None:
        names = self.stage_names
        if "quick" not in names or len(set(names)) < len(names):
            raise JuratError(f"The stages of a preset hold `quick`, and none of them twice, not {names}.")
        searching = {getattr(stage, "confidence", None) for stage in self.stages} - {None}
        if len(searching) > 1:
            raise JuratError("Stages that look for objects share the boxes: give them the same confidence.")

    @property
    def stage_names(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages)

    @cached_property
    def quick(self) -> Quick:
        return next(stage for stage in self.stages if isinstance(stage, Quick))

    def stage(self, kind: type[S]) -> S | None:
        """The stage of that class; None where the preset has none."""
        return next((stage for stage in self.stages if isinstance(stage, kind)), None)

    @property
    def asks(self) -> Literal["clauses", "rules"]:
        return self.quick.asks

    @property
    def presence(self) -> bool:
        return self.quick.presence

    @property
    def views(self) -> float | None:
        """The margin of the views stage; None without that stage."""
        stage = self.stage(Views)
        return None if stage is None else stage.margin

    @property
    def thresholds_decide(self) -> bool:
        """Whether recorded scores and the rules' thresholds alone give outcomes."""
        return isinstance(self.decision, LogOdds) and not any(
            stage.depends_on_thresholds for stage in self.stages
        )

    def setting(self, name: str) -> Any:
        """A setting of a stage or of the decision rule; None where nothing in the preset has it."""
        return next(
            (getattr(part, name) for part in (self.decision, *self.stages) if hasattr(part, name)), None
        )

    def needing(self, need: Need) -> tuple[str, ...]:
        """The names of the stages that cannot run without a detector, a matcher or `chat`. No detector is
        needed if whole rules are asked."""
        if need == "detector" and self.asks == "rules":
            return ()
        return tuple(stage.name for stage in self.stages if need in stage.needs and not stage.optional)

    def uses(self, need: Need) -> bool:
        """Whether a stage uses it if it is available."""
        if need == "detector" and self.asks == "rules":
            return False
        return any(need in stage.needs for stage in self.stages)

    @property
    def settings(self) -> dict[str, Any]:
        """The whole preset as plain JSON data; `jurat.judge.preset_settings` reads it back."""
        parts = {"decision": self.decision, **{stage.name: stage for stage in self.stages}}
        return {
            "name": self.name,
            "summary": self.summary,
            "decides": self.decision.kind,
            "stages": list(self.stage_names),
            **{
                f"{part}.{name}": value
                for part, holder in parts.items()
                for name, value in asdict(holder).items()  # pyright: ignore[reportArgumentType]
            },
        }

    @cached_property
    def digest(self) -> str:
        """12 hex digits of the stages, their settings and the decision rule; not of the name."""
        settings = {name: value for name, value in self.settings.items() if name not in ("name", "summary")}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]

    def replace(
        self,
        *,
        name: str | None = None,
        summary: str | None = None,
        stages: Iterable[Stage] | None = None,
        decision: Decision | None = None,
        **settings: Any,
    ) -> Preset:
        """The preset with parts replaced, or with settings of its stages and its decision rule changed:
        `PRESETS["quick"].replace(name="strict", break_above=0.95)`.

        Raises:
            JuratError: nothing in the preset has such a setting.
        """
        decision = self.decision if decision is None else decision
        stages = self.stages if stages is None else tuple(stages)
        known = {each.name for part in (decision, *stages) for each in fields(part)}  # pyright: ignore[reportArgumentType]
        for unknown in settings.keys() - known:
            raise JuratError(
                f"The preset {self.name!r} has no setting {unknown!r}.",
                hint=suggestion(unknown, sorted(known)),
            )
        return Preset(
            self.name if name is None else name,
            self.summary if summary is None else summary,
            tuple(_with(stage, settings) for stage in stages),
            _with(decision, settings),
        )

    def without(self, parts: Iterable[str]) -> Preset:
        """The preset with parts removed, for ablations; its name says which.

        Raises:
            JuratError: a name is neither in `PARTS` nor a stage of the preset.
        """
        preset = self
        for part in dict.fromkeys(parts):
            if part in REMOVED:
                raise JuratError(f"There is no part {part!r} to leave out: it was removed from jurat.")
            if part not in (*PARTS, *self.stage_names):
                raise JuratError(f"There is no part {part!r} to leave out.", hint=suggestion(part, PARTS))
            preset = preset._without(part).replace(name=f"{preset.name}-no-{part}")
        return preset

    def _without(self, part: str) -> Preset:
        if part == "clauses":
            return self.replace(asks="rules")
        if part == "presence":
            return self.replace(presence=False)
        if part == "debias":
            return self.replace(decision=self.decision.without_debiasing())
        return self.replace(stages=[stage for stage in self.stages if stage.name != part])


P = TypeVar("P")


def _with(part: P, settings: Mapping[str, Any]) -> P:
    own = {each.name for each in fields(part)}  # pyright: ignore[reportArgumentType]
    return copy_with(part, **{name: value for name, value in settings.items() if name in own})  # pyright: ignore[reportArgumentType, reportCallIssue]


PARTS = ("relevance", "clauses", "debias", "views", "presence", "points", "regions", "crop", "reason")
"""What can be left out of a preset: its stages, asking about clauses instead of whole rules, debiasing, and
presence."""

DEFAULT = "jurat"

_CLUE = Clue()
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "jurat",
            "each statement, debiased log-odds, uncertain ones again on shifted copies of the image",
            (Quick(presence=True), Views(0.02), Points()),
            LogOdds(debias=0.25, keep_below=0.4, break_above=0.6),
        ),
        Preset(
            "quick",
            "each statement, debiased log-odds against two thresholds",
            (Quick(presence=True),),
            LogOdds(debias=0.25),
        ),
        Preset(
            "clue",
            "the whole CLUE paper: relevance, each statement as printed, regions, reasoning",
            (Relevance(), Quick(), Crop(0.01), Regions(), Reason()),
            _CLUE,
        ),
        Preset("clue-quick", "each statement, decided as the CLUE paper prints it", (Quick(),), _CLUE),
        Preset(
            "direct",
            "one question a rule, the more likely answer",
            (Quick(asks="rules"),),
            LogOdds(keep_below=0.5, break_above=0.5),
        ),
    )
}


def _entries() -> list[Entry]:
    return [
        Entry(
            preset.name,
            preset.summary,
            "jurat.judge.presets:find_preset",
            paper="arXiv:2501.00192" if isinstance(preset.decision, Clue) else None,
        )
        for preset in PRESETS.values()
    ]


NAMED_PRESETS = Registry("presets", "preset", Entry, _entries)
"""`PRESETS`, and those of third parties by entry points of the group `jurat.presets`. A factory takes the
name and returns a `Preset`."""


def find_preset(name: str | Preset) -> Preset:
    """The preset of that name, of ours or of a third party; one of your own is passed through.

    Raises:
        JuratError: there is none of that name, or the third party's code failed (the message names it).
    """
    if isinstance(name, Preset):
        return name
    if name in PRESETS:
        return PRESETS[name]
    if part := removed_part(name):
        raise JuratError(
            f"There is no preset {name!r}: {part!r} was removed from jurat.",
            hint=f"Name the preset without it: {name.partition('+')[0]!r}.",
        )
    entry = NAMED_PRESETS.find(name)
    factory = entry.load()
    preset = entry.attempt("could not make its preset", lambda: factory(name))
    if not isinstance(preset, Preset):
        raise entry.fault("made something that is no Preset")
    return preset.replace(name=name)
