"""Exceptions that networks and processors raise, as failures of an item."""

from __future__ import annotations

from jurat.content import Failure

FAULTS = (
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
)
"""What a network raises where it does not take its inputs."""


def ran_out_of_memory(error: BaseException) -> bool:
    import torch

    # On some devices it is a plain RuntimeError, recognised by its text.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError)
        and any(text in str(error) for text in ("allocate memory", "out of memory"))
    )


def line_of(error: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}".rstrip(": ")


def failed(error: BaseException) -> Failure:
    """The failure of an item that the network cannot take, alone in a pass."""
    if ran_out_of_memory(error):
        return Failure("error", "Memory does not hold it: a smaller image, or a smaller model, may fit.")
    return Failure("error", f"The model could not read it: {line_of(error)}")
