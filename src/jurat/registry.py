"""Names of what jurat can be extended with: models, sources, judge stages, bench methods and so on.

Each kind has one `Registry`, listed in `KINDS`. An entry says in a line what it is, where its code is and
which extra it needs; its code is imported when it is used, never to list it. A third party adds an entry of a
kind by an entry point of the group `jurat.KIND`; what its code raises is reported as the plug-in's fault.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, ClassVar, Generic, Literal, TypeVar
from urllib.parse import parse_qsl

from jurat.errors import JuratError, MissingExtra
from jurat.text import one_line

__all__ = [
    "EXTRAS",
    "KINDS",
    "OURS",
    "UNVERIFIED",
    "Entry",
    "Evidence",
    "PlugInError",
    "Registry",
    "blamed",
    "name_and_options",
    "registry_of",
    "suggestion",
]

KINDS: dict[str, str] = {
    "models": "jurat.models.registry:MODELS",
    "detectors": "jurat.models.vision:DETECTORS",
    "matchers": "jurat.models.vision:MATCHERS",
    "text_to_image": "jurat.models.text_to_image:TEXT_TO_IMAGE",
    "presets": "jurat.judge.presets:NAMED_PRESETS",
    "stages": "jurat.judge.stages.registry:STAGES",
    "sources": "jurat.sources.registry:SOURCES",
    "benchmarks": "jurat.benchmarks.registry:BENCHMARKS",
    "scorers": "jurat.scorers.registry:SCORERS",
    "attacks": "jurat.attacks.registry:ATTACKS",
    "defenses": "jurat.defenses.registry:DEFENSES",
    "generation_defenses": "jurat.defenses.generation.registry:GENERATION_DEFENSES",
    "metrics": "jurat.metrics.named:METRICS",
    "bench_methods": "jurat.bench.methods.registry:METHODS",
    "guards": "jurat.bench.guards.registry:GUARDS",
}
"""Where the registry of each kind is. The entry-point group of a kind is "jurat." and its name."""

EXTRAS: dict[str, tuple[str, ...]] = {
    "local": ("torch", "transformers", "safetensors"),
    "openai": ("openai",),
    "diffusion": ("torch", "transformers", "safetensors", "diffusers"),
    "ocr": ("rapidocr", "onnxruntime"),
    "eval": ("inspect_ai", "sklearn", "scipy", "statsmodels", "sacrebleu", "skimage"),
}
"""Import names of the packages that entries with an extra of jurat need."""

Evidence = Literal["authors", "paper", "third party", "recalled", "ours"]
"""Where a fact comes from: the authors' code or data, the paper, an independent implementation, memory (not
checked), or a choice of ours. The last two are printed as unverified."""
UNVERIFIED: tuple[Evidence, ...] = ("recalled", "ours")

OURS = "jurat"
"""The provider of what comes with jurat."""
_HINT = "This is no fault of jurat: the plug-in's own documentation or issue tracker helps."

T = TypeVar("T")


class PlugInError(JuratError):
    """The code of a third party could not be used."""

    exit_code = 3


@dataclass(frozen=True)
class Entry:
    """One thing that can be used by name. A kind with more to say of each subclasses this."""

    error: ClassVar[type[JuratError]] = PlugInError
    """Raised where a third party's code fails."""

    name: str
    summary: str
    """One line."""
    factory: str
    """"module:function"; what it takes and returns depends on the kind."""
    _: KW_ONLY
    usage: str = ""
    """How a user writes it: "hf/NAME_OR_PATH"; default: its name."""
    extra: str | None = None
    """The extra of jurat that installs what it needs."""
    paper: str | None = None
    """"arXiv:2501.00192", or a DOI."""
    provider: str = OURS
    """The distribution that it comes from."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "usage", self.usage or self.name)

    @property
    def is_plug_in(self) -> bool:
        """Whether it is a third party's."""
        return self.provider != OURS

    @property
    def modules(self) -> tuple[str, ...]:
        """Import names of the optional packages that it needs."""
        return EXTRAS[self.extra] if self.extra else ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of `modules` that are not installed. Imports nothing."""
        return tuple(module for module in self.modules if find_spec(module) is None)

    def __str__(self) -> str:
        return one_line(f"the plug-in {self.name!r} of {self.provider}") if self.is_plug_in else self.name

    def load(self, feature: str | None = None) -> Callable[..., Any]:
        """The factory, imported now.

        Args:
            feature: what needs it, at the start of a message: "The model 'hf/x'".

        Raises:
            MissingExtra: it needs packages that are not installed.
            JuratError: it is a third party's and cannot be imported; of the type `error`.
        """
        if self.missing and self.extra:
            raise MissingExtra(feature or repr(self.name), self.extra)
        loaded = self.attempt("cannot be imported", self._import)
        if not callable(loaded):
            raise self.fault(f"cannot be used: {one_line(self.factory)} is no function")
        return loaded

    def attempt(self, what: str, step: Callable[[], T]) -> T:
        """Runs a step; what it raises becomes the plug-in's `fault` if this is one, except a `JuratError`,
        which the plug-in raises to tell the user something."""
        if not self.is_plug_in:
            return step()
        try:
            return step()
        except JuratError:
            raise
        except (Exception, SystemExit) as error:  # a module may call sys.exit
            raise self.fault(one_line(f"{what}: {type(error).__name__}: {error}")) from error

    def check(self, opened: T, noun: str, *, strings: Sequence[str] = (), methods: Sequence[str] = ()) -> T:
        """`opened`, or the plug-in's `fault` if it lacks one of these attributes."""
        lacking = [name for name in strings if not isinstance(_get(opened, name), str)]
        lacking += [name for name in methods if not callable(_get(opened, name))]
        if lacking:
            raise self.fault(f"opened something that is no {noun}: it lacks {', '.join(lacking)}")
        return opened

    def fault(self, what: str) -> JuratError:
        """The error that names this plug-in; `what` completes the sentence."""
        subject = str(self)
        return self.error(f"{subject[0].upper()}{subject[1:]} {what}.", hint=_HINT)

    def reason(self, error: BaseException) -> str:
        """One printable line on an exception that it raised."""
        return one_line(f"{self}: {type(error).__name__}: {error}")

    def _import(self) -> object:
        module, _, path = self.factory.partition(":")
        found: object = import_module(module)
        for name in filter(None, path.split(".")):
            found = getattr(found, name)
        return found


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """The entries of one kind: ours, then those of installed third parties."""

    def __init__(
        self,
        kind: str,
        noun: str,
        type: Callable[..., E],
        entries: Iterable[E] | Callable[[], Iterable[E]],
        *,
        see: str = "",
    ) -> None:
        """
        Args:
            kind: its name in `KINDS`.
            noun: one of them, in messages: "model".
            type: makes a third party's entry of `name`, `summary`, `factory` and `provider`.
            entries: ours, or a function that gives them.
            see: ends the hint on an unknown name: " See: jurat models".
        """
        self.kind, self.noun = kind, noun
        self._type, self._entries, self._see = type, entries, see

    def __iter__(self) -> Iterator[E]:
        ours = list(self._entries() if callable(self._entries) else self._entries)
        yield from ours
        # A plug-in cannot replace an entry of ours; of two plug-ins with one name the first is taken.
        taken = {entry.name for entry in ours}
        for known in _plug_ins(self.kind, tuple(sys.path)):
            if known["name"] not in taken:
                taken.add(known["name"])
                yield self._type(**known)

    def names(self) -> list[str]:
        return [entry.name for entry in self]

    def get(self, name: str) -> E | None:
        return next((entry for entry in self if entry.name == name), None)

    def find(self, name: str) -> E:
        """The entry of that name.

        Raises:
            JuratError: there is none; the hint suggests the closest.
        """
        entry = self.get(name)
        if entry is None:
            raise self.unknown(name)
        return entry

    def closest(self, name: str) -> str | None:
        """The name that an unknown one may be a misspelling of."""
        return next(iter(difflib.get_close_matches(name, self.names(), n=1)), None)

    def unknown(self, name: str, *, closest_to: str | None = None, hint: str | None = None) -> JuratError:
        """The error for a name that no entry has."""
        suggested = suggestion(name if closest_to is None else closest_to, self.names()) + self._see
        return JuratError(f"There is no {self.noun} {name!r}.", hint=hint or suggested)


def registry_of(kind: str) -> Registry[Any]:
    """The registry of a kind, by its name in `KINDS`.

    Raises:
        JuratError: there is no such kind.
    """
    if kind not in KINDS:
        raise JuratError(f"There is no kind {kind!r} to list.", hint=suggestion(kind, KINDS))
    module, _, name = KINDS[kind].partition(":")
    return getattr(import_module(module), name)


def name_and_options(name: str) -> tuple[str, dict[str, str]]:
    """A name without its question mark, and the options behind it: ("null", {"seed": "3"}) of "null?seed=3".

    Raises:
        JuratError: an option is given twice.
    """
    plain, _, query = name.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        twice = next(key for key in options if [each for each, _ in pairs].count(key) > 1)
        raise JuratError(f"{name!r} has the option {twice!r} twice.", hint="Give it once.")
    return plain, options


def suggestion(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the closest one, or all there are."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(names) or 'none'}."


def blamed(error: BaseException) -> str | None:
    """The plug-in in whose code an exception was raised, or through which it came; None for one of ours."""
    roots: dict[str, dict[str, str]] = {}
    for kind in KINDS:
        for known in _plug_ins(kind, tuple(sys.path)):
            roots.setdefault(known["factory"].partition(":")[0].strip().partition(".")[0], known)
    trace = error.__traceback__
    while trace is not None:
        root = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if root != OURS and root in roots:
            return str(Entry(**roots[root]))
        trace = trace.tb_next
    return None


@cache
def _plug_ins(kind: str, path: tuple[str, ...]) -> tuple[dict[str, str], ...]:
    """What is known of third parties' entries of a kind on `sys.path`. Reading it takes milliseconds, and a
    source is looked up for every path of a list."""
    del path  # a key of the cache only
    return tuple(map(_described, entry_points(group=f"jurat.{kind}")))


def _described(point: EntryPoint) -> dict[str, str]:
    """What is known of a third party's entry without importing it."""
    factory = point.value.partition("[")[0].strip()
    provider = summary = ""
    with suppress(Exception):  # its metadata is missing or unreadable
        dist: Any = point.dist
        provider, summary = dist.name or "", dist.metadata.get("Summary") or ""
    return {
        "name": point.name,
        "summary": one_line(summary or factory),
        "factory": factory,
        "provider": provider or "an unknown package",
    }


def _get(thing: object, name: str) -> object:
    try:
        return getattr(thing, name, None)
    except Exception:  # a property of a third party
        return None
