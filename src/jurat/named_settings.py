"""Classes of settings that are opened by name: `carlini?steps=50` is the class of `carlini` with another
number of steps. Attacks and defenses are such classes; each setting says where its default comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, cast
from urllib.parse import urlencode

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from jurat.errors import JuratError
from jurat.registry import Entry, Evidence, Registry, name_and_options, suggestion

__all__ = ["Positive", "Radius", "Settings", "Steps", "open_entry", "open_named", "setting", "written"]

T = TypeVar("T")
Positive: TypeAlias = Annotated[int, Field(ge=1)]
Radius: TypeAlias = Annotated[float, Field(ge=0, le=1)]
"""Largest change of a value in [0, 1]."""
Steps: TypeAlias = Annotated[int, Field(ge=0)]


def setting(default: T, evidence: Evidence, doc: str) -> T:
    """A field of a dataclass: its default, where that comes from, and what it means."""
    return field(default=default, metadata={"evidence": evidence, "doc": doc})


class Settings:
    """The base of such classes, which are frozen dataclasses of `setting`s."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(allow_inf_nan=False)

    @classmethod
    def evidence(cls) -> dict[str, str]:
        """Setting -> where its default comes from."""
        return {each.name: each.metadata["evidence"] for each in fields(cast(Any, cls))}


def open_named(registry: Registry[Any], name: str) -> Any:
    """What a registry has by that name, with the settings behind the question mark.

    Raises:
        JuratError: there is no such entry or setting, or a value does not fit.
    """
    plain, given = name_and_options(name)
    return open_entry(registry.find(plain), registry.noun, given)


def open_entry(
    entry: Entry, noun: str, given: Mapping[str, str], preset: Mapping[str, Any] | None = None
) -> Any:
    """The class of an entry with settings.

    Args:
        noun: one of its kind, in messages: "attack".
        given: settings as texts; "null" stands for None.
        preset: settings that `given` overrides.

    Raises:
        JuratError: there is no such setting, or a value does not fit.
    """
    what = f"The {noun} {entry.name!r}"
    kind: Any = entry.load(what)
    known = {each.name for each in fields(kind)}
    for option in given:
        if option not in known:
            raise JuratError(f"{what} has no setting {option!r}.", hint=suggestion(option, known))
    values = {option: None if text == "null" else text for option, text in given.items()}
    try:
        return TypeAdapter(kind).validate_python({**(preset or {}), **values})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "a setting"
        raise JuratError(f"{what}: {where}: {first['msg']}.") from error


def written(settings: Any) -> str:
    """The name of such a class with the settings that differ from their defaults; `open_named` opens it
    again."""
    given = {each.name: getattr(settings, each.name) for each in fields(settings)}
    changed = {each.name: given[each.name] for each in fields(settings) if given[each.name] != each.default}
    texts = {name: _text(value) for name, value in changed.items()}
    return f"{settings.name}?{urlencode(texts)}" if texts else settings.name


def _text(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
