"""The eyes: one interface to multimodal LLMs, several backends, and the bundled model.

A model answers to two batched verbs, `ask` and `chat` (`jurat.models.base`). What only some models
can do is a capability that is asked for by its type. Models know nothing of rules.
"""

from __future__ import annotations

from jurat.models.base import (
    Answer,
    Chat,
    Disclaimer,
    DomainGate,
    Failure,
    FailureKind,
    Generation,
    Inquiry,
    Model,
    ModelError,
    Reply,
    Turn,
    Usage,
    Vocabulary,
    YesNo,
)
from jurat.models.registry import Backend, list_backends, open_model
from jurat.models.spec import ModelSpec, Opener

__all__ = [
    "Answer",
    "Backend",
    "Chat",
    "Disclaimer",
    "DomainGate",
    "Failure",
    "FailureKind",
    "Generation",
    "Inquiry",
    "Model",
    "ModelError",
    "ModelSpec",
    "Opener",
    "Reply",
    "Turn",
    "Usage",
    "Vocabulary",
    "YesNo",
    "list_backends",
    "open_model",
]
