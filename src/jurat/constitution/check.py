"""Checks a constitution: finds every problem, with its place in the file and what to do about it.

The models (`rules.py`, `constitution.py`) decide what is well-formed; their errors are explained here in
a user's terms. Checks that need the file are added: repeated ids, wording, gaps.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from jurat.constitution.constitution import Constitution
from jurat.constitution.files import find_file, read_text
from jurat.constitution.problem import ConstitutionError, Problem
from jurat.constitution.rules import (
    ABOUTS,
    CLAUSE_KEYS,
    SEVERITIES,
    Examples,
    Rule,
    make_id,
    repeats,
)
from jurat.constitution.source import FROM_PROSE, Source, in_quotes, parse_source
from jurat.constitution.wording import names, related, remarks

Location = tuple[str | int, ...]


Refusal = Callable[[str], str | None]
"""Why a model is not asked a statement; None where it is (`refusal` of `jurat.models.StatementReader`)."""


def check_constitution(path: str | Path, *, refusal: Refusal | None = None) -> list[Problem]:
    """Every problem of the file `path` (or "shelf:NAME"), in the file's order; empty where there is none.

    `refusal` is that of the model that is to judge: a statement that it is not asked is an error, and so is
    then a negation, which is advice elsewhere.

    Raises ConstitutionError only where there is no text to check: no such file, too large, not UTF-8.
    """
    file = find_file(path)
    return check_text(read_text(file), file=str(file), refusal=refusal)


def check_text(text: str, *, file: str = "<text>", refusal: Refusal | None = None) -> list[Problem]:
    """The same for YAML text; `file` is how problems name it."""
    try:
        source = parse_source(text, file)
    except ConstitutionError as error:
        return list(error.problems)
    return examine(source, refusal)[1]


def examine(source: Source, refusal: Refusal | None = None) -> tuple[Constitution | None, list[Problem]]:
    """The constitution, or None where there are errors; and all problems, in the file's order."""
    data = source.data()
    if not isinstance(data, dict):
        what = "is empty" if data is None else "does not hold a constitution"
        advice = f"Start with `name:` and `rules:`. {FROM_PROSE}"
        return None, [source.problem("error", "not-a-constitution", (), f"the file {what}", advice)]
    document = cast("dict[str, Any]", data)
    constitution: Constitution | None = None
    problems = [
        *_repeated_ids(source, document),
        *_wording(source, document, refusal),
        *_gaps(source, document),
    ]
    try:
        constitution = Constitution.model_validate(document)
    except ValidationError as invalid:
        problems += _translate(source, invalid)
    problems.sort(key=lambda problem: (problem.line, problem.column))
    if any(problem.severity == "error" for problem in problems):
        constitution = None
    return constitution, problems


# --- errors of the models -------------------------------------------------------------------------

_EXPLANATIONS: dict[str, dict[str, str]] = tomllib.loads(
    files("jurat.constitution").joinpath("explanations.toml").read_text("utf-8")
)
_TYPES, _SUGGESTIONS, _SYNONYMS = (_EXPLANATIONS[name] for name in ("types", "suggestions", "synonyms"))
_LONGEST_KEY = 40
"""A longer key is not taken for a misspelling."""
_RANGE_ERRORS = ("greater_than_equal", "less_than_equal", "finite_number")


def _translate(source: Source, invalid: ValidationError) -> Iterator[Problem]:
    for error in invalid.errors(include_url=False):
        if error["type"] in ("default_factory_not_called", "duplicate-id"):
            continue  # reported elsewhere: for the text that the id is made from; by `_repeated_ids`
        at = error.get("ctx", {}).get("at")
        loc: Location = error["loc"] if at is None else (*error["loc"], at)
        code, message, suggestion = _explain(error, loc)
        yield source.problem("error", code, loc, message, suggestion, key=code == "unknown-key")


def _explain(error: ErrorDetails, loc: Location) -> tuple[str, str, str | None]:
    """Code, message and suggestion of a pydantic error about the part of the file at `loc`."""
    kind = error["type"]
    name = _name(loc)
    if kind in ("extra_forbidden", "unknown-key"):
        key, known = str(loc[-1]), _keys(loc)
        advice = _did_you_mean(key, known)
        if " " in key.strip() and _near(key, known) is None:
            advice = f"A colon makes a key: put a text that holds one in quotes. {advice}"
        return "unknown-key", f"unknown key `{key}`", advice
    if kind == "missing":
        advice = f"Add `{loc[-1]}:`." + (f" {FROM_PROSE}" if len(loc) == 1 else "")
        return "missing-key", f"{_name(loc[:-1])} has no {name}", advice
    value: object = error["input"]
    if kind == "literal_error" and loc[-1] == "about":
        return "bad-about", f"{name} must be one of {', '.join(ABOUTS)}", _did_you_mean(str(value), ABOUTS)
    if kind == "literal_error":
        message = f"{name} must be one of {', '.join(SEVERITIES)}"
        return "bad-severity", message, _did_you_mean(str(value), SEVERITIES)
    if kind in _RANGE_ERRORS:
        return "threshold-range", f"{name} must be from 0 to 1, not {_described(value)}", None
    if kind in _TYPES:
        return "type", f"{name} {_TYPES[kind]}, not {_described(value)}", _type_advice(kind, value)
    if kind == "type":
        return "type", f"{name}: {error['msg']}", _colon_advice(value)
    return kind, f"{name} {error['msg']}", _SUGGESTIONS.get(kind)


def _name(loc: Location) -> str:
    """The name of the part of the file at `loc`, for messages."""
    parts = [part for part in loc if part not in ("alternatives", "text", "negated")]
    match parts:
        case []:
            return "the constitution"
        case ["rules", int(i)]:
            return f"rule {i + 1}"
        case [*_, "clauses", int(i)] | [*_, "clauses", int(i), int()]:
            return f"clause {i + 1}"
        case [*_, "unless", int(i)] | [*_, "unless", int(i), int()]:
            return f"exception {i + 1}"
        case [*_, str(key), int(i)]:
            return f"item {i + 1} of `{key}`"
        case _:
            return f"`{parts[-1]}`"


def _keys(loc: Location) -> tuple[str, ...]:
    """The keys that are allowed where the last part of `loc` is."""
    match loc[:-1]:
        case (*_, "clauses" | "unless", int()):
            return CLAUSE_KEYS
        case ():
            model = Constitution
        case (*_, "examples"):
            model = Examples
        case _:
            model = Rule
    return tuple(model.model_fields)


def _did_you_mean(word: str, known: tuple[str, ...]) -> str:
    near = _near(word, known)
    return f"Did you mean `{near}`?" if near else f"Known here: {', '.join(f'`{key}`' for key in known)}."


def _near(word: str, known: tuple[str, ...]) -> str | None:
    """The known key that a word misspells or is a synonym of."""
    plain_word = re.sub("[ _-]", "", word.lower())
    if len(plain_word) > _LONGEST_KEY:
        return None
    plain = {re.sub("[ _-]", "", key): key for key in known}
    names = {other: key for key in known for other in _SYNONYMS.get(key, "").split(", ")} | plain
    close = difflib.get_close_matches(plain_word, names, n=1, cutoff=0.8) or difflib.get_close_matches(
        plain_word, plain, n=1
    )
    return names[close[0]] if close else None


def _described(value: object) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"`{str(value).lower()}`"
        case int() | float():
            return f"the number {str(value)[:20]}"
        case str():
            return f'"{value}"' if len(value) <= 40 else "a text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _type_advice(kind: str, value: object) -> str | None:
    if kind == "string_type" and isinstance(value, int | float):
        return "Put it in quotes."
    if kind == "tuple_type":
        return "Start each item with `- ` on a line of its own."
    if kind == "model_type" and isinstance(value, str):
        return f'Write `rule: "{value}"`.' if len(value) <= 80 else "Write `rule:` before it."
    return None


def _colon_advice(value: object) -> str | None:
    """A sentence with a colon is parsed as a mapping, the commonest mistake in such files."""
    match value:
        case {"any of": _} | {"not": _} | {"statement": _}:
            return None
        case {"objects": _, **items} | {"about": _, **items} if len(items) == 1:
            return _did_you_mean(next(iter(items)), CLAUSE_KEYS)
        case {**items} if len(items) == 1:
            key, rest = next(iter(items.items()))
            if near := _near(key, CLAUSE_KEYS):
                return f"Did you mean `{near}`?"
            if isinstance(rest, list | dict) or (" " not in key.strip() and key.islower()):
                return _did_you_mean(key, CLAUSE_KEYS)
            text = f"{key}:" if rest is None else f"{key}: {rest}"
            return f"A colon makes a key. Put the sentence in quotes: {in_quotes(text)}"
        case bool() | int() | float():
            return "Put it in quotes."
        case _:
            return None


# --- checks of the file -------------------------------------------------------------------------


def _rules(document: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rules that are mappings, so that one bad rule does not hide problems of the others."""
    rules = document.get("rules")
    if isinstance(rules, list):
        for i, rule in enumerate(cast("list[object]", rules)):
            if isinstance(rule, dict):
                yield i, cast("dict[str, Any]", rule)


def _repeated_ids(source: Source, document: Mapping[str, Any]) -> Iterator[Problem]:
    named: list[tuple[int, str, bool]] = []
    for i, rule in _rules(document):
        text, given = rule.get("rule"), rule.get("id")
        if isinstance(given, str):
            named.append((i, given, True))
        elif isinstance(text, str) and text.strip():
            named.append((i, make_id(text), False))
    for later, earlier in repeats([name for _, name, _ in named]):
        index, name, given = named[later]
        other = source.locate(("rules", named[earlier][0]))[0]
        message = f"the id `{name}` is that of the rule on line {other} already"
        advice = "Give one of the two another `id`." if given else "Give the rule an `id` of its own."
        at = ("rules", index, "id" if given else "rule")
        yield source.problem("error", "duplicate-id", at, message, advice)


def _statements(rule: Mapping[str, Any]) -> Iterator[tuple[Location, str, bool]]:
    """(path within the rule, text, negated) of each statement in its clauses and exceptions."""
    for role in ("clauses", "unless"):
        clauses: object = rule.get(role)
        for j, clause in enumerate(cast("list[object]", clauses) if isinstance(clauses, list) else []):
            yield from _alternatives((role, j), clause)


def _alternatives(path: Location, clause: object) -> Iterator[tuple[Location, str, bool]]:
    match clause:
        case str():
            yield path, clause, False
        case {"not": str(text)}:
            yield (*path, "not"), text, True
        case {"statement": str(text)}:
            yield (*path, "statement"), text, False
        case {"any of": [*items]}:
            for k, item in enumerate(items):
                yield from _alternatives((*path, "any of", k), item)
        case _:
            return


def _is_read(rule: Mapping[str, Any], path: Location) -> bool:
    """Whether the clause of a statement is about a text and not only the image."""
    clause: object = rule[str(path[0])][path[1]]
    return isinstance(clause, dict) and cast("dict[str, object]", clause).get("about", "image") != "image"


def _wording(
    source: Source, document: Mapping[str, Any], refusal: Refusal | None = None
) -> Iterator[Problem]:
    for i, rule in _rules(document):
        for path, text, negated in _statements(rule):
            at: Location = ("rules", i, *path)
            name = f"{'exception' if path[0] == 'unless' else 'clause'} {int(path[1]) + 1}"
            codes = {"intent"} if _is_read(rule, path) else set[str]()  # a text may state an intent
            why = None if refusal is None or _is_read(rule, path) or not text.strip() else refusal(text)
            if why is not None:
                message, _, advice = why.rpartition("; ")
                code = "negation" if message.startswith("it is a negation") else "unread"
                if negated:  # a negation under `not:` equals the positive statement
                    advice = re.sub(r"`not: (.*)`$", r"`\1` without `not:`", advice)
                suggestion = advice[0].upper() + advice[1:]
                yield source.problem(
                    "error", code, at, f"{name} would be answered wrongly: {message}", suggestion
                )
                codes |= {"negation"}
            yield from _remarks(source, at, name, text, but=codes, negated=negated)
        at = ("rules", i, "rule")
        if rule.get("clauses") in (None, []):  # its text is asked; its "No ..." is not a negation
            yield from _remarks(source, at, "`rule`", rule.get("rule"), but={"negation"})
        at = ("rules", i, "description")
        advice = "Name what is there: images are compared with it as with a caption."
        yield from _remarks(
            source, at, "`description`", rule.get("description"), only="negation", advice=advice
        )


def _remarks(
    source: Source,
    at: Location,
    name: str,
    text: object,
    *,
    but: Collection[str] = (),
    only: str | None = None,
    negated: bool = False,
    advice: str | None = None,
) -> Iterator[Problem]:
    """Remarks on the wording of the text at `at`: of all codes except `but`, or of one `only`."""
    if not isinstance(text, str) or not text.strip():
        return
    for remark in remarks(" ".join(text.split()), negated=negated, in_brackets=source.is_flow(at[:-1])):
        if remark.code in but or (only is not None and remark.code != only):
            continue
        suggestion = advice or remark.suggestion
        if remark.code == "sentence" and (cut := source.remarks.get(source.locate(at))):
            suggestion += f" If `{cut}` belongs to it, put the whole text in quotes."
        yield source.problem(remark.severity, remark.code, at, f"{name} {remark.message}", suggestion)


def _gaps(source: Source, document: Mapping[str, Any]) -> Iterator[Problem]:
    """Parts that a rule should have but lacks."""
    for i, rule in _rules(document):
        misspelt = rule.keys() - Rule.model_fields.keys()  # such as `clause:`, which is reported as an error
        if str(rule.get("rule") or "").strip() and not misspelt and rule.get("clauses") in (None, []):
            message = "the rule has no clauses yet: its own text is asked as one question"
            advice = "Add `clauses:`, each one thing that can be seen."
            yield source.problem("advice", "no-clauses", ("rules", i, "rule"), message, advice)
        yield from _without_presence(source, i, rule)
        if lone := _lone_threshold(rule):
            key, other = lone
            message = f"`{key}` is {rule[key]}, and `{other}` is left to the preset"
            yield source.problem(
                "advice", "lone-threshold", ("rules", i, key), message, f"Give `{other}` too."
            )


def _without_presence(source: Source, number: int, rule: Mapping[str, Any]) -> Iterator[Problem]:
    """Relations between things whose presence no clause states."""
    present: dict[str | int, set[str]] = {"clauses": set(), "unless": set()}
    relations: list[tuple[Location, tuple[str, str]]] = []
    for path, text, negated in _statements(rule):
        clause: object = rule[str(path[0])][path[1]]
        if negated or _is_read(rule, path):
            continue
        if (between := related(text)) is None:
            present[path[0]].update(re.findall(r"\w+", text.lower()))
        elif not (isinstance(clause, dict) and cast("dict[str, object]", clause).get("objects")):
            relations.append((path, between))
    for path, between in relations:
        if all(names(phrase, present[path[0]]) for phrase in between):
            continue
        role = "exception" if path[0] == "unless" else "clause"
        message = (
            f'{role} {int(path[1]) + 1} relates "{between[0]}" to "{between[1]}", and no clause says that'
        )
        message += " both are there: models often say yes where one is missing"
        advice = " and ".join(f'"{one[0].upper()}{one[1:]} is visible."' for one in between)
        yield source.problem("advice", "no-presence", ("rules", number, *path), message, f"Add {advice}")


def _lone_threshold(rule: Mapping[str, Any]) -> tuple[str, str] | None:
    """A threshold beyond 0.5 without the other, which the preset may set on the wrong side of it."""
    match rule.get("keep_below"), rule.get("break_above"):
        case ((float() | int() as below), None) if 0.5 < below <= 1 and below is not True:
            return "keep_below", "break_above"
        case None, (float() | int() as above) if 0 <= above < 0.5 and above is not False:
            return "break_above", "keep_below"
        case _:
            return None
