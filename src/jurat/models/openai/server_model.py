"""What the models behind a server have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

from jurat.models.capabilities import TotalUsage, UsageMeter
from jurat.models.openai.estimate import CallForm, Rehearsable
from jurat.models.openai.server import Server
from jurat.models.protocol import C, Model


class ServerModel(Model):
    """A model whose verbs are calls of a server."""

    dtype = "none"
    call_forms: ClassVar[Mapping[str, CallForm]] = {}
    """How closed questions are put to the server, by what the server does; for estimates."""

    def __init__(self, server: Server, *, name: str) -> None:
        self.server = server
        self.name = name

    @property
    def revision(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Id and fingerprint as the server last reported them; "unknown" before its first reply."""
        return self.server.revision

    @property
    def spent(self) -> TotalUsage:
        return self.server.spent

    def capability(self, kind: type[C]) -> C | None:
        return cast(C, self) if kind in (UsageMeter, Rehearsable) else None

    def close(self) -> None:
        self.server.close()
