"""Multimodal LLMs: one protocol of two batched verbs (`ask`, `chat`), its backends, and the bundled model.

`jurat.models.protocol` defines the protocol. What only some models can do is a capability, asked for by its
type (`jurat.models.capabilities`). Models know nothing of constitutions.
"""

from __future__ import annotations

from jurat.models.capabilities import (
    ConcurrencySupport,
    Defended,
    DefenseCost,
    Disclaimer,
    DomainGate,
    PromptScore,
    PromptScores,
    RuleDraft,
    RuleWriter,
    Sized,
    StatementReader,
    TotalUsage,
    UsageMeter,
    Vocabulary,
)
from jurat.models.micro_batcher import MicroBatcher
from jurat.models.model_spec import ModelSpec, Opener, Serving
from jurat.models.protocol import (
    Answer,
    Inquiry,
    Model,
    ModelError,
    ModelUnavailable,
    UnsupportedSetting,
    YesNo,
    check_settings,
    full_name,
    invalid_setting,
    may_be_same_model,
)
from jurat.models.registry import Backend, list_backends, open_model
from jurat.models.vision import Box, Detector, Matcher, open_detector, open_matcher
from jurat.models.white_box import (
    ChatPair,
    ContinuationLogits,
    Deviation,
    Differentiable,
    DifferentiableDetector,
    DifferentiableGate,
    DifferentiableText,
    Embedder,
    Hook,
    ImageFeatures,
    PairedDecoding,
    PairReply,
    Proposals,
    Steerable,
)
from jurat.models.wrapper import ModelWrapper

__all__ = [
    "Answer",
    "Backend",
    "Box",
    "ChatPair",
    "ConcurrencySupport",
    "ContinuationLogits",
    "Defended",
    "DefenseCost",
    "Detector",
    "Deviation",
    "Differentiable",
    "DifferentiableDetector",
    "DifferentiableGate",
    "DifferentiableText",
    "Disclaimer",
    "DomainGate",
    "Embedder",
    "Hook",
    "ImageFeatures",
    "Inquiry",
    "Matcher",
    "MicroBatcher",
    "Model",
    "ModelError",
    "ModelSpec",
    "ModelUnavailable",
    "ModelWrapper",
    "Opener",
    "PairReply",
    "PairedDecoding",
    "PromptScore",
    "PromptScores",
    "Proposals",
    "RuleDraft",
    "RuleWriter",
    "Serving",
    "Sized",
    "StatementReader",
    "Steerable",
    "TotalUsage",
    "UnsupportedSetting",
    "UsageMeter",
    "Vocabulary",
    "YesNo",
    "check_settings",
    "full_name",
    "invalid_setting",
    "list_backends",
    "may_be_same_model",
    "open_detector",
    "open_matcher",
    "open_model",
]
