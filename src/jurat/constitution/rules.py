"""Rules, clauses and statements: frozen pydantic models that accept only what is well-formed.

The same shorthand works in YAML and in Python::

    Constitution(name="kitchen", rules=[
        Rule(rule="No child may be shown touching a blade.", clauses=[
            "A child is visible.",
            {"any of": ["A dagger is visible.", "An axe is visible."]},
            {"not": "A police officer is visible."},
            {"statement": "The child is left of the axe.", "objects": ["child", "axe"]},
            {"statement": "A knife is offered for sale.", "about": "caption"},
        ]),
    ])

Errors are pydantic `ValidationError`s whose types are the codes of `docs/constitution.md`;
`jurat.constitution.check` turns them into problems with a line and a column.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_serializer,
)
from pydantic_core import PydanticCustomError

from jurat.constitution.characters import invisible

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[str, ...] = get_args(Severity)

About = Literal["image", "caption", "pair", "text_in_image", "prompt", "response", "conversation"]
"""What a clause is about: the image; the item's caption; both together; the text seen in the image; of the
item's conversation the user's turns, the model's last one, or all turns with the image."""
ABOUTS: tuple[str, ...] = get_args(About)
_TEXTS_ALONE: frozenset[About] = frozenset(("caption", "prompt", "response"))
"""Clauses about these are asked without an image."""
_SHOWN_BEFORE: dict[About, str] = {
    "image": "",
    "caption": "in the caption: ",
    "pair": "in image and caption: ",
    "text_in_image": "in the image's text: ",
    "prompt": "in the prompt: ",
    "response": "in the response: ",
    "conversation": "in the conversation: ",
}

MAX_TEXT = 1000
"""Characters in one text: a rule, a statement, an action."""
MAX_ID = 64

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def make_id(rule: str) -> str:
    """The id of a rule that has none: its text as a slug of at most 48 characters.

    Where the slug loses a part of the text, a short hash of the text ends it. The id depends on the text
    alone, so it stays the same when rules are added, removed or moved.
    """
    rule = _tidy(rule)
    folded = unicodedata.normalize("NFKD", rule).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", folded))
    lost = any(c.isalnum() and not c.isascii() for c in rule)
    if len(slug) <= 48 and not lost and slug:
        return slug
    head = slug[:41].rsplit("-", 1)[0] if len(slug) > 41 else slug or "rule"
    return f"{head}-{short_hash(rule, 6)}"


def short_hash(text: str, length: int) -> str:
    """The first hex characters of the SHA-256 of a text."""
    # A lone surrogate is refused elsewhere, with its own message.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def repeats(keys: Sequence[object]) -> list[tuple[int, int]]:
    """(index, index of its first occurrence) of every key that came before."""
    first: dict[object, int] = {}
    return [(i, first[key]) for i, key in enumerate(keys) if first.setdefault(key, i) != i]


def _tidy(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def clean(value: str) -> str:
    text = _tidy(value)
    if not text:
        raise PydanticCustomError("empty", "is empty")
    if len(text) > MAX_TEXT:
        raise PydanticCustomError("too-long", "is longer than {limit} characters", {"limit": MAX_TEXT})
    if any(unicodedata.category(c) in ("Cc", "Cs") or c in _BIDI_CONTROLS for c in text):
        raise PydanticCustomError("control-character", "holds a control character")
    if hidden := invisible(text):
        shown = {"character": hidden[0], "after": f' after "{hidden[1]}"' if hidden[1] else " at its start"}
        raise PydanticCustomError(
            "invisible-character", "holds the invisible character {character}{after}", shown
        )
    return text


def _check_id(value: str) -> str:
    if not _ID.fullmatch(value) or len(value) > MAX_ID:
        message = "may hold only letters, digits, `-`, `_` and `.` (at most {limit}, a letter or digit first)"
        raise PydanticCustomError("bad-id", message, {"limit": MAX_ID})
    return value


def _check_path(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("empty", "is empty")
    return value  # as written: a file's name may hold two spaces, or accents in any composition


def _none_is_empty(value: object) -> object:
    return () if value is None else value  # `clauses:` left blank while drafting


Text = Annotated[str, AfterValidator(clean)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_none_is_empty)]
Threshold = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]


class Frozen(BaseModel):
    """Base of the models: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Statement(Frozen):
    """A sentence about what can be seen, or read; the model is asked about it as written."""

    text: Text
    negated: bool = False
    """True where the sentence is asked positively and must be false (`not:` in the file)."""

    @property
    def key(self) -> tuple[str, bool]:
        """Equal for statements that say the same but for case and the final full stop."""
        return self.text.casefold().removesuffix("."), self.negated

    def __str__(self) -> str:
        return f"not: {self.text}" if self.negated else self.text


class Clause(Frozen):
    """One precondition of a rule: it holds if one of its alternatives does."""

    alternatives: tuple[Statement, ...]
    objects: Texts = ()
    """Objects to find in an image to check the clause: a few words each, such as "kitchen knife"."""
    about: About = "image"
    """What its statements are about."""

    @property
    def text(self) -> str:
        """On one line: "A dagger is visible or An axe is visible.", "not: A child is visible."; before a
        clause that is not about the image, what it is about: "in the caption: A dagger is named."."""
        *head, last = (str(statement) for statement in self.alternatives)
        return _SHOWN_BEFORE[self.about] + " or ".join([*(text.removesuffix(".") for text in head), last])

    @property
    def key(self) -> tuple[About, frozenset[tuple[str, bool]]]:
        """Equal for clauses about the same whose alternatives are equal in any order, whatever their
        objects."""
        return self.about, frozenset(statement.key for statement in self.alternatives)

    @property
    def sees_image(self) -> bool:
        """Whether an image is looked at to check it; False for a clause about a text alone."""
        return self.about not in _TEXTS_ALONE

    @field_validator("alternatives")
    @classmethod
    def _sound(cls, alternatives: tuple[Statement, ...]) -> tuple[Statement, ...]:
        if not alternatives:
            raise PydanticCustomError("empty", "lists no alternative, so it could never hold")
        keys = [statement.key for statement in alternatives]
        refuse_repeats(keys, "duplicate-alternative", "lists the same alternative twice")
        seen: set[tuple[str, bool]] = set()
        for i, (text, negated) in enumerate(keys):
            if (text, not negated) in seen:
                raise PydanticCustomError(
                    "always-holds", "always holds, for it lists a statement and its negation", {"at": i}
                )
            seen.add((text, negated))
        return alternatives

    @field_validator("objects")
    @classmethod
    def _objects_apart(cls, objects: tuple[str, ...]) -> tuple[str, ...]:
        keys = [text.casefold() for text in objects]
        refuse_repeats(keys, "duplicate-object", "is listed already")
        return objects

    @field_validator("about")
    @classmethod
    def _objects_are_seen(cls, about: About, info: ValidationInfo) -> About:
        if about in _TEXTS_ALONE and info.data.get("objects"):
            message = "has `objects`, which are looked for in images, and is about the {about} alone"
            raise PydanticCustomError("objects-unseen", message, {"about": about})
        return about

    @model_serializer
    def _shorthand(self) -> Any:
        """The clause as written in a file, so that a dump can be read back."""
        items = [{"not": s.text} if s.negated else s.text for s in self.alternatives]
        clause = items[0] if len(items) == 1 else {"any of": items}
        if not self.objects and self.about == "image":
            return clause
        fields = {"statement": clause} if isinstance(clause, str) else clause
        about = {} if self.about == "image" else {"about": self.about}
        return fields | about | ({"objects": list(self.objects)} if self.objects else {})


CLAUSE_KEYS = ("statement", "any of", "not", "objects", "about")
"""Keys of a clause that is written as a mapping: one of the first three, and perhaps the others."""


def _read_clause(value: object) -> object:
    """Shorthand to the fields of `Clause`; anything else is refused with a reason."""
    others: dict[str, object] = {}
    if isinstance(value, dict):
        fields = cast("dict[object, object]", value)
        _refuse_other_keys(fields)
        others = {"objects": fields.get("objects"), "about": fields.get("about", "image")}
    match value:
        case Clause():
            return value
        case Statement() | str():
            return {"alternatives": [_read_statement(value)]}
        case {"not": text}:
            return {"alternatives": [{"text": text, "negated": True}], **others}
        case {"statement": text}:
            return {"alternatives": [{"text": text}], **others}
        case {"any of": [*items]}:
            return {"alternatives": [_read_statement(item) for item in items], **others}
        case {"any of": _}:
            raise PydanticCustomError("type", "`any of` must be a list of statements")
        case _:
            message = "a clause is a sentence, `any of: [...]`, `not: ...` or `statement: ...`"
            raise PydanticCustomError("type", message)


def _read_statement(value: object) -> object:
    match value:
        case Statement():
            return value
        case str():
            return {"text": value}
        case {"not": text, **others} if not others:
            return {"text": text, "negated": True}
        case {"objects": _}:
            raise PydanticCustomError("type", "`objects` stands beside `any of`, for the whole clause")
        case {"about": _}:
            raise PydanticCustomError("type", "`about` stands beside `any of`, for the whole clause")
        case _:
            raise PydanticCustomError("type", "an alternative is a sentence or `not: ...`")


def _refuse_other_keys(fields: dict[object, object]) -> None:
    given = [key for key in CLAUSE_KEYS[:3] if key in fields]
    if len(given) > 1:
        message = "`statement`, `any of` and `not` stand alone: a clause has one of them"
        raise PydanticCustomError("type", message)
    unknown = [key for key in fields if key not in CLAUSE_KEYS]
    if given and unknown:
        raise PydanticCustomError("unknown-key", "unknown key", {"at": str(unknown[0])})


Clauses = Annotated[
    tuple[Annotated[Clause, BeforeValidator(_read_clause)], ...],
    BeforeValidator(_none_is_empty),
]


Paths = Annotated[tuple[Annotated[str, AfterValidator(_check_path)], ...], BeforeValidator(_none_is_empty)]


class Examples(Frozen):
    """Images whose outcome under a rule is known: paths as written, relative to the constitution's file."""

    broken: Paths = ()
    kept: Paths = ()

    @field_validator("kept")
    @classmethod
    def _apart(cls, kept: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        broken = frozenset(info.data.get("broken", ()))
        for i, path in enumerate(kept):
            if path in broken:
                raise PydanticCustomError("example-twice", "is listed under `broken` as well", {"at": i})
        return kept


class Rule(Frozen):
    """What must not be visible: broken if all clauses hold, unless it has exceptions and all of them hold."""

    rule: Text
    """One sentence for people; it is asked where there are no clauses."""
    id: Annotated[str, AfterValidator(_check_id)] = Field(default_factory=lambda data: make_id(data["rule"]))
    severity: Severity | None = None
    action: Text | None = None
    """What the user will do with an item that breaks the rule; recorded, never acted on."""
    description: Text | None = None
    """What the rule forbids, as a short positive description of what is seen: "a child with a knife". It is
    what an image is compared with to tell whether the rule may concern it at all."""
    clauses: Clauses = ()
    unless: Clauses = ()
    keep_below: Threshold | None = None
    """A rule score below it is `kept`; None leaves it to the preset. In [0, 1]."""
    break_above: Threshold | None = None
    """A rule score above it is `broken`; None leaves it to the preset, whatever the other is. In [0, 1]."""
    examples: Examples | None = None

    @field_validator("clauses")
    @classmethod
    def _clauses_sound(cls, clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
        refuse_repeats(
            [clause.key for clause in clauses], "duplicate-clause", "says the same as clause {first}"
        )
        _refuse_contradiction(
            clauses, "never-broken", "contradicts clause {first}, so the rule can never be broken"
        )
        return clauses

    @field_validator("unless")
    @classmethod
    def _unless_sound(cls, unless: tuple[Clause, ...], info: ValidationInfo) -> tuple[Clause, ...]:
        refuse_repeats(
            [clause.key for clause in unless], "duplicate-clause", "says the same as exception {first}"
        )
        _refuse_contradiction(
            unless, "never-excepted", "contradicts exception {first}, so it can never apply"
        )
        clauses = {clause.key for clause in info.data.get("clauses", ())}
        if unless and {clause.key for clause in unless} <= clauses:
            message = "asks only for what the clauses ask for, so the rule can never be broken"
            raise PydanticCustomError("never-broken", message)
        return unless

    @field_validator("break_above")
    @classmethod
    def _in_order(cls, above: float | None, info: ValidationInfo) -> float | None:
        below = info.data.get("keep_below")
        if above is not None and below is not None and below > above:
            message = "({above}) is smaller than `keep_below` ({below})"
            raise PydanticCustomError("thresholds-order", message, {"above": above, "below": below})
        return above


def refuse_repeats(keys: Sequence[object], code: Any, message: Any) -> None:
    for at, first in repeats(keys):
        raise PydanticCustomError(code, message, {"at": at, "first": first + 1})


def _refuse_contradiction(clauses: tuple[Clause, ...], code: Any, message: Any) -> None:
    """Two one-statement clauses of which one negates the other can never both hold."""
    first: dict[tuple[About, str, bool], int] = {}
    for at, clause in enumerate(clauses):
        if len(clause.alternatives) != 1:
            continue
        text, negated = clause.alternatives[0].key
        if (earlier := first.get((clause.about, text, not negated))) is not None:
            raise PydanticCustomError(code, message, {"at": at, "first": earlier + 1})
        first.setdefault((clause.about, text, negated), at)
