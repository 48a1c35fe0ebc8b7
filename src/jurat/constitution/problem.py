"""What can be wrong with a constitution, and the error that carries it to a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jurat.errors import JuratError


@dataclass(frozen=True)
class Problem:
    """One remark about a constitution file, at a place in it."""

    severity: Literal["error", "advice"]
    """An `error` keeps the file from being used; `advice` does not."""
    line: int
    """Counted from 1."""
    column: int
    """Counted from 1, in characters."""
    message: str
    suggestion: str | None
    """What to do, or None where the message says it all."""
    code: str
    """Short and stable, for machines: "unknown-key". The list is in `docs/constitution.md`."""
    file: str = ""

    def __str__(self) -> str:
        head = f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} [{self.code}]"
        return head if self.suggestion is None else f"{head}\n    {self.suggestion}"


class ConstitutionError(JuratError):
    """A constitution that cannot be used: the file is not there, or it has errors."""

    def __init__(self, message: str, *, hint: str | None = None, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)

    @classmethod
    def of_problems(cls, file: str, problems: Sequence[Problem]) -> ConstitutionError:
        """Lists the first ten errors among `problems`."""
        errors = [problem for problem in problems if problem.severity == "error"]
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        lines = [f"The constitution {file} has {count}:", *(str(error) for error in errors[:10])]
        hint = None if len(errors) <= 10 else f"See them all: jurat constitution check {file}"
        return cls("\n".join(lines), hint=hint, problems=problems)
