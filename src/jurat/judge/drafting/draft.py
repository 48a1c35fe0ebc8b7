"""Drafting: a chat model makes rules objective, splits them into clauses, and names their objects.

The offline steps of CLUE (arXiv 2501.00192, "objectification" and "precondition extraction"), each a batch
over all rules: rate, rewrite and rate again, clauses, objects, description. The drafts are written into the
user's file by `jurat.judge.drafting.drafted_file`. A rule for which the writer fails is reported, and the
others continue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import ValidationError

from jurat.constitution import Clause, Rule, Statement, check_text
from jurat.constitution.amend import Role
from jurat.constitution.source import to_text
from jurat.content import Chat, Failure, Reply
from jurat.judge.drafting.prompts import (
    Attempt,
    clauses_chat,
    description_chat,
    objects_chat,
    rating_chat,
    repair_chat,
    rewriting_chat,
)
from jurat.judge.drafting.reading_back import doubts, render
from jurat.judge.drafting.replies import (
    LONGEST_REPLY,
    ReplyError,
    parse_clauses,
    parse_description,
    parse_objects,
    parse_rating,
    parse_rule,
    quoted,
)
from jurat.models import Model, ModelError, ModelUnavailable, RuleDraft, RuleWriter

OBJECTIVE = 9
"""A rule that is rated lower than this, of 10, is rewritten. The paper's practical cut-off."""
ROUNDS = 3
"""Times that a rule is rewritten at most. The paper says only "repeatedly"."""

Step: TypeAlias = Literal["rating", "rewriting", "clauses", "objects", "description", "file"]
T = TypeVar("T")
Request: TypeAlias = tuple[Chat, Callable[[str], T]]
"""A conversation, and what reads its continuation or raises `ReplyError`."""


@dataclass(frozen=True)
class Draft:
    """A writer's draft for one rule."""

    rule: Rule
    """As it stands in the file."""
    attempts: tuple[Attempt, ...] = ()
    """The rule's own wording first, then the rewritten ones; empty where it was not rated."""
    clauses: tuple[Clause, ...] = ()
    """With their objects; empty where the rule has clauses, or none could be drafted."""
    objects: Mapping[tuple[Role, int], tuple[str, ...]] = field(
        default_factory=dict["tuple[Role, int]", "tuple[str, ...]"]
    )
    """Objects of clauses and exceptions that the rule has already."""
    description: str | None = None
    problems: tuple[tuple[Step, Failure], ...] = ()
    """What could not be drafted, and why."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why a person has to review the clauses before they are used: they do not say what the rule says, or
        that could not be determined. Empty where their logic agrees with the rule's."""
        return doubts(self.rule.rule, self.clauses, self.rule.unless) if self.clauses else ()

    @property
    def reading(self) -> str:
        """The drafted clauses as a sentence, to be compared with the rule; "" where there are none."""
        return render(self.clauses, self.rule.unless) if self.clauses else ""

    @property
    def best(self) -> Attempt | None:
        """The wording rated highest, the earliest of equals."""
        return _best(self.attempts)

    @property
    def rewritten(self) -> str | None:
        """A better wording than the rule's own, if there is one."""
        return self.best.text if self.best and self.best.text != self.rule.rule else None

    @property
    def empty(self) -> bool:
        """True where there is nothing to write into the file."""
        return not (self.clauses or self.objects or self.description or self.rewritten)


def lacks(rule: Rule, *, force: bool = False) -> bool:
    """True where there is something to draft for a rule."""
    return bool(_Lack.of(rule, force))


def draft_rules(
    rules: Sequence[Rule],
    model: Model,
    *,
    rounds: int = ROUNDS,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Draft]:
    """Drafts what each rule lacks: clauses, objects of clauses, a description; with `force` everything.

    A rule whose clauses are drafted is rated before, and rewritten up to `rounds` times while it is rated
    below `OBJECTIVE`; clauses and description are drawn from its best wording. A model with the capability
    `RuleWriter` drafts by itself, and rates nothing. Never raises for what a model does.
    """
    works = [_Work(rule, _Lack.of(rule, force)) for rule in rules]
    own = model.capability(RuleWriter)
    if own is not None:
        tell(f"taking apart {_rules(len(works))}")
        for work in works:
            work.take(own)
        return [work.draft() for work in works]
    writer = _Writer(model, tell)
    _objectify(writer, [work for work in works if work.lack.clauses], rounds)
    _draft_clauses(writer, [work for work in works if work.lack.clauses and not work.stopped])
    _draft_objects(writer, [work for work in works if not work.stopped])
    _draft_descriptions(writer, [work for work in works if work.lack.description and not work.stopped])
    return [work.draft() for work in works]


# --- the state of a rule ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lack:
    """What a rule is to be given."""

    clauses: bool
    objects: tuple[tuple[Role, int], ...]
    """Clauses and exceptions of the file without objects."""
    description: bool

    def __bool__(self) -> bool:
        return bool(self.clauses or self.objects or self.description)

    @classmethod
    def of(cls, rule: Rule, force: bool) -> _Lack:
        clauses = force or not rule.clauses
        roles: tuple[tuple[Role, tuple[Clause, ...]], ...] = (
            ("clauses", () if clauses else rule.clauses),
            ("unless", rule.unless),
        )
        bare: tuple[tuple[Role, int], ...] = tuple(
            (role, i)
            for role, held in roles
            for i, clause in enumerate(held)
            if not clause.objects and clause.sees_image
        )
        return cls(clauses, bare, force or rule.description is None)


@dataclass
class _Work:
    rule: Rule
    lack: _Lack
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    clauses: tuple[Clause, ...] = ()
    objects: dict[tuple[Role, int], tuple[str, ...]] = field(
        default_factory=dict["tuple[Role, int]", "tuple[str, ...]"]
    )
    description: str | None = None
    problems: list[tuple[Step, Failure]] = field(default_factory=list["tuple[Step, Failure]"])
    stopped: bool = False
    """Nothing more is asked for this rule: it could not be rated, or not be taken apart."""

    @property
    def text(self) -> str:
        """The wording that clauses are drawn from."""
        best = _best(self.attempts)
        return best.text if best else self.rule.rule

    def fail(self, step: Step, failure: Failure, *, stop: bool = False) -> None:
        self.problems.append((step, failure))
        self.stopped = self.stopped or stop

    def draft(self) -> Draft:
        return Draft(
            self.rule,
            tuple(self.attempts),
            self.clauses,
            {place: words for place, words in self.objects.items() if words},
            self.description,
            tuple(self.problems),
        )

    def asked(self) -> list[Clause]:
        """The clauses whose objects are wanted: the drafted ones, then those of the file."""
        return [*self.clauses, *(getattr(self.rule, role)[i] for role, i in self.lack.objects)]

    def set_objects(self, objects: Sequence[tuple[str, ...]]) -> None:
        """`objects`: those of each clause of `asked`."""
        drafted = len(self.clauses)
        self.clauses = tuple(
            clause.model_copy(update={"objects": words})
            for clause, words in zip(self.clauses, objects[:drafted], strict=True)
        )
        self.objects = dict(zip(self.lack.objects, objects[drafted:], strict=True))

    def take(self, writer: RuleWriter) -> None:
        """What a writer of its own kind makes of the rule."""
        try:
            made = writer.draft_rule(self.rule.rule)
            if isinstance(made, RuleDraft):
                self._take(made)
            else:
                self.fail("clauses", made, stop=True)
        except ModelError as error:
            self.fail("clauses", Failure("error", error.message), stop=True)
        except (ReplyError, ValidationError) as error:
            what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            reason = f"The writer's draft cannot be used: {what}"
            self.fail("clauses", Failure("unparsed", reason), stop=True)

    def _take(self, made: RuleDraft) -> None:
        if not made.clauses:
            raise ReplyError("It has no clause.")
        if made.objects and len(made.objects) != len(made.clauses):
            numbers = f"objects of {len(made.objects)} clauses, and {len(made.clauses)} clauses"
            raise ReplyError(f"It has {numbers}.")
        objects = made.objects or ((),) * len(made.clauses)
        clauses = tuple(
            Clause(alternatives=tuple(Statement(text=t, negated=n) for t, n in alternatives), objects=words)
            for alternatives, words in zip(made.clauses, objects, strict=True)
        )
        if self.lack.clauses:
            self.clauses = _checked(self.rule.rule, clauses, self.rule.unless)
        words_of = {clause.key: clause.objects for clause in clauses}
        for role, i in self.lack.objects:
            clause: Clause = getattr(self.rule, role)[i]
            if clause.key in words_of:
                self.objects[role, i] = words_of[clause.key]
            else:
                reason = f"The writer takes the rule apart in other words than {clause.text!r}."
                self.fail("objects", Failure("unparsed", reason))
        if self.lack.description and made.description:
            self.description = Rule(rule=self.rule.rule, description=made.description).description


# --- the steps ----------------------------------------------------------------------------------


def _objectify(writer: _Writer, works: Sequence[_Work], rounds: int) -> None:
    """Rates every rule; then rewrites and rates again those that are not objective."""
    going = _rate(writer, [(work, work.rule.rule) for work in works], stop=True)
    for _ in range(rounds):
        going = [work for work in going if (best := _best(work.attempts)) and best.score < OBJECTIVE]
        going = _rewrite(writer, going)


def _rewrite(writer: _Writer, works: Sequence[_Work]) -> list[_Work]:
    """One round; returns the works that gained an attempt."""
    requests: list[Request[str]] = [(rewriting_chat(work.attempts), parse_rule) for work in works]
    rewritten = list(_answered(writer, "rewriting", works, requests))
    # A writer that repeats an earlier wording has no better one.
    return _rate(writer, [(w, text) for w, text in rewritten if text not in [a.text for a in w.attempts]])


def _rate(writer: _Writer, wordings: Sequence[tuple[_Work, str]], *, stop: bool = False) -> list[_Work]:
    """Rates a wording of each rule; returns the works that gained an attempt."""
    requests: list[Request[tuple[int, str]]] = [(rating_chat(text), parse_rating) for _, text in wordings]
    rated: list[_Work] = []
    for (work, text), rating in zip(wordings, writer.read("rating", requests), strict=True):
        if isinstance(rating, Failure):
            work.fail("rating", rating, stop=stop)
        else:
            work.attempts.append(Attempt(text, *rating))
            rated.append(work)
    return rated


def _draft_clauses(writer: _Writer, works: Sequence[_Work]) -> None:
    requests: list[Request[tuple[Clause, ...]]] = [
        (clauses_chat(work.text), _clause_reader(work)) for work in works
    ]
    for work, clauses in _answered(writer, "clauses", works, requests, stop=True):
        work.clauses = clauses


def _draft_objects(writer: _Writer, works: Sequence[_Work]) -> None:
    works = [work for work in works if work.asked()]
    requests: list[Request[tuple[tuple[str, ...], ...]]] = [
        (objects_chat(work.asked()), _objects_reader(len(work.asked()))) for work in works
    ]
    for work, objects in _answered(writer, "objects", works, requests):
        work.set_objects(objects)


def _draft_descriptions(writer: _Writer, works: Sequence[_Work]) -> None:
    requests: list[Request[str]] = [(description_chat(work.text), parse_description) for work in works]
    for work, text in _answered(writer, "description", works, requests):
        work.description = text


def _answered(
    writer: _Writer, step: Step, works: Sequence[_Work], requests: Sequence[Request[T]], *, stop: bool = False
) -> Iterator[tuple[_Work, T]]:
    """The works whose request was answered, with the answer; failures are noted in the others."""
    for work, answer in zip(works, writer.read(step, requests), strict=True):
        if isinstance(answer, Failure):
            work.fail(step, answer, stop=stop)
        else:
            yield work, answer


def _clause_reader(work: _Work) -> Callable[[str], tuple[Clause, ...]]:
    return lambda reply: _checked(work.text, parse_clauses(reply), work.rule.unless)


def _objects_reader(count: int) -> Callable[[str], tuple[tuple[str, ...], ...]]:
    return lambda reply: parse_objects(reply, count)


def _checked(sentence: str, clauses: tuple[Clause, ...], unless: tuple[Clause, ...]) -> tuple[Clause, ...]:
    """The clauses; raises ReplyError with the errors that `jurat constitution check` would find in them."""
    rule: dict[str, Any] = {"rule": sentence, "clauses": [clause.model_dump() for clause in clauses]}
    if unless:
        rule["unless"] = [clause.model_dump() for clause in unless]
    text = to_text({"name": "draft", "rules": [rule]})
    errors = [problem for problem in check_text(text) if problem.severity == "error"]
    if errors:
        sentences = (f"{e.message[0].upper()}{e.message[1:]}. {e.suggestion or ''}".strip() for e in errors)
        raise ReplyError(" ".join(sentences))
    return clauses


class _Writer:
    """A model's `chat`, with one repair turn for replies that cannot be read."""

    def __init__(self, model: Model, tell: Callable[[str], None]) -> None:
        self._model = model
        self._tell = tell

    def read(self, step: Step, requests: Sequence[Request[T]]) -> list[T | Failure]:
        """What each reply says. Those that cannot be read are sent back once, with what is wrong."""
        if requests:
            self._tell(f"{step}: {_rules(len(requests))}")
        replies = self._chat([chat for chat, _ in requests])
        answers: list[T | Failure] = []
        again: list[tuple[int, Chat]] = []
        for i, ((chat, reader), reply) in enumerate(zip(requests, replies, strict=True)):
            try:
                answers.append(_failure(reply) or reader(reply.text))
            except ReplyError as error:
                again.append((i, repair_chat(chat, reply.text[:LONGEST_REPLY], str(error))))
                answers.append(Failure("unparsed", str(error)))
        for (i, _), reply in zip(again, self._chat([chat for _, chat in again]), strict=True):
            try:
                answers[i] = _failure(reply) or requests[i][1](reply.text)
            except ReplyError as error:
                answers[i] = Failure("unparsed", f"{error} The writer said {quoted(reply.text)}.")
        return answers

    def _chat(self, chats: Sequence[Chat]) -> Sequence[Reply]:
        if not chats:
            return []
        try:
            return self._model.chat(chats)
        except Exception as error:  # what was drafted before is kept; a third party's may raise anything
            if len(chats) > 1 and not isinstance(error, ModelUnavailable):
                return [reply for chat in chats for reply in self._chat([chat])]
            reason = error.message if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
            return [Reply(failure=Failure("error", reason))] * len(chats)


def _failure(reply: Reply) -> Failure | None:
    """Why a reply cannot be read. An empty one is not sent back: many servers refuse an empty turn."""
    if reply.failure is None and not reply.text.strip():
        return Failure("unparsed", "The reply is empty.")
    return reply.failure


def _best(attempts: Sequence[Attempt]) -> Attempt | None:
    return max(attempts, key=lambda attempt: attempt.score, default=None)


def _rules(number: int) -> str:
    return "1 rule" if number == 1 else f"{number} rules"
