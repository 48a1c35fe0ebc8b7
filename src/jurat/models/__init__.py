"""The eyes: one interface to multimodal LLMs, several backends, and the bundled model.

A model answers to two batched verbs, `ask` and `chat` (`jurat.models.protocol`). What only some models
can do is a capability that is asked for by its type. Models know nothing of rules.
"""

from __future__ import annotations

from jurat.models.protocol import (
    Answer,
    ConcurrencySupport,
    ContinuationLogits,
    Deviation,
    Differentiable,
    Disclaimer,
    DomainGate,
    Embedder,
    Hook,
    ImageFeatures,
    Inquiry,
    Model,
    ModelError,
    ModelGone,
    RuleDraft,
    RuleWriter,
    Spent,
    StatementReader,
    Steerable,
    UsageMeter,
    Vocabulary,
    YesNo,
    full_name,
    may_be,
)
from jurat.models.registry import Backend, list_backends, open_model
from jurat.models.spec import ModelSpec, Opener, Serving
from jurat.models.vision import Box, Detector, Matcher, open_detector, open_matcher

__all__ = [
    "Answer",
    "Backend",
    "Box",
    "ConcurrencySupport",
    "ContinuationLogits",
    "Detector",
    "Deviation",
    "Differentiable",
    "Disclaimer",
    "DomainGate",
    "Embedder",
    "Hook",
    "ImageFeatures",
    "Inquiry",
    "Matcher",
    "Model",
    "ModelError",
    "ModelGone",
    "ModelSpec",
    "Opener",
    "RuleDraft",
    "RuleWriter",
    "Serving",
    "Spent",
    "StatementReader",
    "Steerable",
    "UsageMeter",
    "Vocabulary",
    "YesNo",
    "full_name",
    "list_backends",
    "may_be",
    "open_detector",
    "open_matcher",
    "open_model",
]
