"""The one error that people see: a line that says what was wrong, and one that says what to do."""

from __future__ import annotations


class JuratError(Exception):
    """Something a person can mend. The command line prints it without a traceback."""

    exit_code = 2
    """Exit code of the command that it ends: 2 for wrong usage, 3 for a model that failed."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


class MissingExtra(JuratError):
    """A feature needs packages that are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed.",
            hint=f"Install them: {install(extra)}",
        )
        self.extra = extra


def install(extra: str) -> str:
    """The command that installs an extra of jurat."""
    return f'pip install "jurat[{extra}]"'


def require(feature: str, extra: str, *modules: str) -> None:
    """Raises MissingExtra where a module that an extra installs is not there. Imports nothing."""
    from importlib.util import find_spec

    if any(find_spec(module) is None for module in modules):
        raise MissingExtra(feature, extra)
