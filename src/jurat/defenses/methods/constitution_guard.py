"""The constitution as a guard: jurat's judge before and after any model.

Before the model is called, rules about images and prompts are judged; after it, rules with clauses about the
response or the conversation. What becomes of a broken rule follows from the rule, or from its severity. Texts
are quoted to the judge as data. What could not be judged is held back, never let through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias, cast, get_args

from PIL import Image

from jurat.constitution import Constitution, Rule, load_constitution
from jurat.content import Chat, Failure, Item, Reply, Turn, Usage
from jurat.content.chat import ask_in
from jurat.defenses.defense import DefendedModel, Defense, Turns, conversation_with
from jurat.defenses.procedure import Event, Steps
from jurat.errors import JuratError
from jurat.judge import Judge, Verdict
from jurat.models import Answer, Inquiry, Model, open_model
from jurat.named_settings import setting
from jurat.text import counted

__all__ = ["ConstitutionGuard", "GuardedModel"]

Action: TypeAlias = Literal["pass", "rewrite", "review", "block"]
"""`pass`: it is only counted. `rewrite`: the model writes its reply again; a request cannot be rewritten, and
is blocked. `review`: it is held back, and says that it waits for a person."""
Stage: TypeAlias = Literal["before", "after"]

_GRAVEST: tuple[str, ...] = get_args(Action)
_TEXTS_ALONE = frozenset(("prompt", "response"))
"""What clauses are about that are asked without the image, which a conversation may lack."""
_CAPTIONS = frozenset(("caption", "pair"))
_NOT_SHOWN = Image.new("RGB", (1, 1))
"""The image of an item whose rules are about texts alone: the judge needs one and shows it to nobody."""
_REWRITE = "Your answer breaks this rule: {rule} Write it again so that it does not."


@dataclass(frozen=True)
class _Check:
    """A conversation to be judged, before it has a reply or with it."""

    stage: Stage
    turns: Turns


@dataclass(frozen=True)
class _Checked:
    """A judged conversation; no verdict where no rule applies."""

    verdict: Verdict | None
    unjudged: int = 0
    """Rules of the stage that look at the image of a conversation that has none."""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class _Ruling:
    """What becomes of a conversation."""

    action: Action
    why: str = ""
    rules: tuple[Rule, ...] = ()
    """The broken rules."""
    failure: Failure | None = None
    """Set where it could not be judged."""


@dataclass(frozen=True)
class ConstitutionGuard(Defense):
    """See the module's docstring. Closed questions are judged as part of the prompt, their
    answers are not. Rules that look at the image are not applied to a conversation without one.

    Events name the stage, the action and the rule: "before: block child-with-blade"; "before: 2 rules need an
    image" counts conversations of which they were not applied.

    Raises:
        JuratError: the constitution cannot be read, is another one than `digest` says, has clauses about
            captions, or has no rule of a name in `rules`.
    """

    name: ClassVar[str] = "constitution"

    file: str = setting("", "ours", "The constitution: a YAML file, or shelf:NAME.")
    digest: str = setting("", "ours", "Its digests; filled in, and checked where they are given.")
    judge: str = setting("", "ours", "The model that judges; empty: the guarded one.")
    preset: str = setting("quick", "ours", "The judge's preset.")
    low: Action = setting("review", "ours", "What becomes of a broken rule of low severity.")
    medium: Action = setting("rewrite", "ours", "Of medium severity.")
    high: Action = setting("block", "ours", "Of high severity, or of none.")
    critical: Action = setting("block", "ours", "Of critical severity.")
    unsure: Action = setting("review", "ours", "What becomes of what the judge is unsure about.")
    rules: str = setting("", "ours", 'Actions by rule: "child-with-blade:block,child-climbing:pass".')

    def __post_init__(self) -> None:
        if not self.file:
            raise JuratError(
                "The defense 'constitution' needs a constitution.",
                hint='Name one: "constitution?file=policy.yaml", or shelf:NAME.',
            )
        law = self.constitution
        found = f"{law.digest}.{law.thresholds_digest}"
        if self.digest not in ("", found):
            raise JuratError(f"{self.file} has the digests {found}, and {self.digest} is wanted.")
        object.__setattr__(self, "digest", found)
        self._check_rules(law)

    def _check_rules(self, law: Constitution) -> None:
        ids = {rule.id for rule in law.rules}
        for id, action in self._by_rule.items():
            if id not in ids or action not in get_args(Action):
                raise JuratError(
                    f"The defense 'constitution': {id}:{action} is no rule with an action.",
                    hint=f"Rules: {', '.join(sorted(ids))}. Actions: {', '.join(get_args(Action))}.",
                )
        captioned = [rule.id for rule in law.rules if _abouts(rule) & _CAPTIONS]
        if captioned:
            raise JuratError(f"The rule {captioned[0]!r} is about captions, and conversations have none.")

    @cached_property
    def constitution(self) -> Constitution:
        """The constitution, as it was when the guard was made."""
        return load_constitution(self.file)

    @property
    def _by_rule(self) -> dict[str, str]:
        pairs = (each.partition(":") for each in self.rules.split(",") if each.strip())
        return {id.strip(): action.strip() for id, _, action in pairs}

    def over(self, model: Model) -> GuardedModel:
        self.check(model)
        return GuardedModel(model, self)

    def chat(self, chat: Chat) -> Steps[Reply]:
        before = yield from self._ruled("before", chat.turns)
        if (held := _held(before)) is not None:
            return Reply(failure=held)
        reply: Reply = yield chat
        if reply.failure is not None:
            return reply
        after = yield from self._ruled("after", conversation_with(chat, reply.text))
        if after.action == "rewrite":
            asked = Turn("user", (_REWRITE.format(rule=" ".join(rule.rule for rule in after.rules)),))
            reply = yield replace(chat, turns=(*conversation_with(chat, reply.text), asked))
            if reply.failure is not None:
                return reply
            after = yield from self._ruled("after", conversation_with(chat, reply.text))
        return reply if (held := _held(after)) is None else Reply(failure=held)

    def ask(self, inquiry: Inquiry) -> Steps[Answer]:
        turns = ask_in(inquiry.prefix.turns, "\n".join(inquiry.questions))
        held = _held((yield from self._ruled("before", turns)))
        if held is not None:
            return Answer(failure=held)
        return (yield inquiry)

    def _ruled(self, stage: Stage, turns: Turns) -> Steps[_Ruling]:
        checked: _Checked = yield _Check(stage, turns)
        if checked.unjudged:
            yield Event(f"{stage}: {counted(checked.unjudged, 'rule needs', 'rules need')} an image")
        ruling = self.ruling(checked.verdict)
        if ruling.why:
            yield Event(f"{stage}: {ruling.action} {ruling.why}")
        return ruling

    def ruling(self, verdict: Verdict | None) -> _Ruling:
        """What becomes of a conversation with this verdict."""
        if verdict is None or verdict.outcome == "safe":
            return _Ruling("pass")
        if verdict.outcome == "error":
            return _Ruling(
                "block", "error", failure=Failure("error", f"It could not be judged: {verdict.error}")
            )
        if verdict.outcome == "unsure":
            return _Ruling(self.unsure, "unsure")
        broken = tuple(rule for rule in self.constitution.rules if rule.id in verdict.broken)
        found = [_Ruling(self._action(rule), rule.id, broken) for rule in broken]
        if any(rule.outcome == "undecided" for rule in verdict.rules):
            found.append(_Ruling(self.unsure, "unsure"))
        return max(found, key=lambda ruling: _GRAVEST.index(ruling.action))

    def _action(self, rule: Rule) -> Action:
        return cast(Action, self._by_rule.get(rule.id) or getattr(self, rule.severity or "high"))


class GuardedModel(DefendedModel):
    """A model with judges before and behind it, which are opened when they are first needed."""

    def __init__(self, inner: Model, guard: ConstitutionGuard) -> None:
        super().__init__(inner, guard)
        self._own = open_model(guard.judge) if guard.judge else None
        law, model = guard.constitution, self._own or inner
        self._judges: dict[tuple[Stage, bool], Judge] = {}
        """By stage, and by whether the conversation has images."""
        self._unjudged: Counter[tuple[Stage, bool]] = Counter()
        try:
            for rules, key in _shares(law):
                share = law.model_copy(update={"rules": rules})
                self._judges[key] = Judge(share, model, guard.preset)
                self._unjudged[key[0], False] += len(rules) if key[1] else -len(rules)
        except BaseException:
            self._close_judge()
            raise

    def check(self, requests: Sequence[Any]) -> list[Any]:
        """The verdicts on conversations; those for one judge are judged together."""
        groups: dict[Judge, list[int]] = {}
        for place, request in enumerate(cast("Sequence[_Check]", requests)):
            judge = self._judges.get(_key(request))
            if judge is not None:
                groups.setdefault(judge, []).append(place)
        found = [_Checked(None, self._unjudged[_key(request)]) for request in requests]
        for judge, places in groups.items():
            verdicts = judge.many([_item(requests[place].turns) for place in places])
            for place, verdict in zip(places, verdicts, strict=True):
                cost = verdict.cost
                usage = Usage(cost.question_tokens, cost.generated_tokens, money=cost.dollars)
                found[place] = replace(found[place], verdict=verdict, usage=usage)
        return found

    def close(self) -> None:
        self._close_judge()
        super().close()

    def _close_judge(self) -> None:
        if self._own is not None:
            self._own.close()


def _shares(law: Constitution) -> list[tuple[tuple[Rule, ...], tuple[Stage, bool]]]:
    """The rules that are judged in each stage, with and without images."""
    found: list[tuple[tuple[Rule, ...], tuple[Stage, bool]]] = []
    for stage in get_args(Stage):
        rules = tuple(rule for rule in law.rules if _stage(rule) == stage)
        texts = tuple(rule for rule in rules if _abouts(rule) <= _TEXTS_ALONE)
        found += [(some, (stage, seen)) for some, seen in ((rules, True), (texts, False)) if some]
    return found


def _abouts(rule: Rule) -> set[str]:
    """What clauses and exceptions of a rule are about; a rule without clauses is asked of the image."""
    about: set[str] = {clause.about for clause in (*rule.clauses, *rule.unless)}
    return about if rule.clauses else about | {"image"}


def _stage(rule: Rule) -> Stage:
    return "after" if _abouts(rule) & {"response", "conversation"} else "before"


def _key(check: _Check) -> tuple[Stage, bool]:
    return check.stage, any(turn.images for turn in check.turns)


def _item(turns: Turns) -> Item:
    if any(turn.images for turn in turns):
        return Item(turns=turns)
    return Item([_NOT_SHOWN], turns=turns)


def _held(ruling: _Ruling) -> Failure | None:
    """Why nothing is given; None where it passes."""
    if ruling.failure is not None or ruling.action == "pass":
        return ruling.failure
    what = "The judge is unsure." if ruling.why == "unsure" else f"It breaks the rule {ruling.why!r}."
    return Failure(
        "filtered", f"Held for review: {what}" if ruling.action == "review" else f"Blocked: {what}"
    )
