"""Scorers of third parties: what they raise is reported as theirs and ends no run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from jurat.errors import JuratError
from jurat.registry import Entry
from jurat.scorers.judgement import Answered, Judgement, Scorer


class PlugInScorer:
    """A third party's scorer. Where it raises, or gives something else than one `Judgement` a reply with a
    label of its own, each reply is tried alone, and one that fails again is an `error` that names the
    plug-in."""

    def __init__(self, entry: Entry, scorer: Scorer) -> None:
        self._entry, self._inner = entry, scorer
        self.name, self.labels, self.positive = scorer.name, tuple(scorer.labels), scorer.positive

    def __getattr__(self, name: str) -> Any:
        if name in ("_entry", "_inner"):  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self._inner, name)

    def close(self) -> None:
        """Closes the scorer, if it can be closed."""
        close = getattr(self._inner, "close", None)
        if callable(close):
            self._entry.attempt("could not be closed", close)

    def score(self, answered: Sequence[Answered]) -> list[Judgement]:
        """See `Scorer.score`."""
        problem = f"{self._entry}: it gave no list of one Judgement a reply"
        try:
            given = cast(object, self._inner.score(answered))
            if isinstance(given, list) and len(cast("list[Any]", given)) == len(answered):
                found = [one for one in cast("list[Any]", given) if isinstance(one, Judgement)]
                strange = [one.label for one in found if one.label not in (None, *self.labels)]
                if len(found) == len(answered) and not strange:
                    return found
                if strange:
                    problem = f"{self._entry}: it gave the label {strange[0]!r}, which is none of its labels"
        except JuratError:
            raise
        except Exception as error:
            problem = self._entry.reason(error)
        if len(answered) == 1:
            return [Judgement("error", reason=problem, scorer=self.name)]
        return [judgement for one in answered for judgement in self.score([one])]
