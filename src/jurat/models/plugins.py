"""Models of third parties, found by entry points: what they raise is named as theirs and ends no run.

An entry point of the group `jurat.models` has the backend's name and loads to an `Opener`. The model that it
opens is wrapped: where `ask` or `chat` raises, or gives something else than one answer an item, each item of
the batch is tried alone, and those that fail again have a `Failure` that names the plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, cast

from jurat.content import Chat, Failure, Reply
from jurat.errors import JuratError
from jurat.models.protocol import Answer, C, Inquiry, Model, ModelError, ModelGone
from jurat.models.spec import ModelSpec
from jurat.text import one_line

GROUP = "jurat.models"
_HINT = "This is no fault of jurat: the plug-in's own documentation or issue tracker helps."

T = TypeVar("T")
R = TypeVar("R", Answer, Reply)


@dataclass(frozen=True)
class PlugIn:
    """An installed third party's backend; nothing of it is imported until it opens a model."""

    point: EntryPoint

    @property
    def name(self) -> str:
        return self.point.name

    @property
    def provider(self) -> str:
        """The distribution that it comes from."""
        name = None if self.point.dist is None else cast("str | None", self.point.dist.name)
        return name or "an unknown package"

    def __str__(self) -> str:
        return one_line(f"the plug-in {self.name!r} of {self.provider}")

    def open(self, spec: ModelSpec) -> Model:
        """Opens a model.

        Raises:
            ModelError: the plug-in cannot be imported, raises, or opens something that is no `Model`.
            JuratError: what the plug-in has to say to a person, as it raised it.
        """
        opener = self._run("cannot be imported", self.point.load)
        if not callable(opener):
            raise self._error(f"cannot be used: {one_line(self.point.value)} is no function")
        model = self._run(f"could not open {spec.name!r}", lambda: opener(spec))
        lacking = [name for name in ("name", "revision", "dtype") if not isinstance(_get(model, name), str)]
        lacking += [name for name in ("ask", "chat", "capability") if not callable(_get(model, name))]
        if lacking:
            raise self._error(f"opened something that is no model: it lacks {', '.join(lacking)}")
        return cast(Model, PlugInModel(self, cast(Model, model)))

    def why(self, error: BaseException) -> str:
        """One printable line on what it raised."""
        return one_line(f"{self}: {type(error).__name__}: {error}")

    def _run(self, what: str, step: Callable[[], T]) -> T:
        try:
            return step()
        except JuratError:
            raise
        except (Exception, SystemExit) as error:  # a module may call sys.exit
            raise self._error(one_line(f"{what}: {type(error).__name__}: {error}")) from error

    def _error(self, what: str) -> ModelError:
        told = str(self)
        return ModelError(f"{told[0].upper()}{told[1:]} {what}.", hint=_HINT)


class PlugInModel:
    """A third party's model; everything but the two verbs is its own."""

    def __init__(self, plug_in: PlugIn, model: Model) -> None:
        self._plug_in, self._model = plug_in, model

    def __getattr__(self, name: str) -> Any:
        if name in ("_plug_in", "_model"):  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self._model, name)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self._each(self._model.ask, inquiries, Answer)

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return self._each(self._model.chat, chats, Reply)

    def capability(self, kind: type[C]) -> C | None:
        return self._model.capability(kind)

    def _each(self, verb: Callable[[Any], Any], items: Sequence[Any], kind: type[R]) -> list[R]:
        try:
            given = verb(items)
            if isinstance(given, Sequence) and len(cast("Sequence[Any]", given)) == len(items):
                answers = [one for one in cast("Sequence[Any]", given) if _fits(one, kind)]
                if len(answers) == len(items):
                    return answers
            problem = f"{self._plug_in}: it gave no list of one {kind.__name__} an item"
        except JuratError as error:
            if isinstance(error, ModelGone) or not isinstance(error, ModelError):
                raise
            problem = self._plug_in.why(error)
        except Exception as error:
            problem = self._plug_in.why(error)
        if len(items) == 1:
            return [kind(failure=Failure("error", problem))]
        return [answer for item in items for answer in self._each(verb, [item], kind)]


def _fits(given: Any, kind: type[R]) -> bool:
    return isinstance(given, kind)


def _get(model: object, name: str) -> object:
    try:
        return getattr(model, name, None)
    except Exception:  # a property of theirs
        return None


def plug_ins(taken: Sequence[str]) -> Iterator[PlugIn]:
    """The entry points whose names are not `taken`, each name once."""
    names = set(taken)
    for point in entry_points(group=GROUP):
        if point.name not in names:
            names.add(point.name)
            yield PlugIn(point)


def blamed(error: BaseException) -> str | None:
    """The plug-in in whose code an exception was raised, or through which it came; None for one of ours."""
    roots = {plug_in.point.module.partition(".")[0]: plug_in for plug_in in plug_ins(())}
    trace = error.__traceback__
    while trace is not None:
        root = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if root != "jurat" and root in roots:
            return str(roots[root])
        trace = trace.tb_next
    return None
