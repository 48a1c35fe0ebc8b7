"""Which attacks there are, and how one is opened by name.

There are four kinds: `PictureAttack` changes pictures with gradients or noise, `TextAttack` looks for a
text, `SampleAttack` rewrites what a model is shown and asked, and `RingABell` looks for prompts of
text-to-image models. An attack of ours is a file of `methods/` and
an entry here; a third party's is an entry point of the group `jurat.attacks`, whose factory is a subclass of
one of them. `carlini?steps=50` changes a setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jurat.errors import JuratError
from jurat.named_settings import open_entry
from jurat.registry import Entry, Registry, name_and_options, suggestion

if TYPE_CHECKING:
    from jurat.attacks.method import PictureAttack  # imports torch
    from jurat.attacks.methods.ring_a_bell import RingABell
    from jurat.attacks.sample_attack import SampleAttack
    from jurat.attacks.text_method import TextAttack

__all__ = ["ATTACKS", "AttackEntry", "open_attack"]


Changes = Literal["picture", "text", "sample", "prompt"]


@dataclass(frozen=True, kw_only=True)
class AttackEntry(Entry):
    """An attack."""

    changes: Changes = "picture"
    """What it changes: pixels, a text that it looks for, what a sample shows and asks, or a prompt of a
    text-to-image model."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Name -> settings that differ from the attack's own: "as_released" where the authors' code and their
    paper differ."""


def _entry(
    name: str,
    where: str,
    summary: str,
    paper: str | None,
    changes: Changes = "picture",
    **presets: Any,
) -> AttackEntry:
    """An attack with gradients or noise, which needs torch."""
    factory = f"jurat.attacks.methods.{where}"
    return AttackEntry(name, summary, factory, extra="local", paper=paper, changes=changes, presets=presets)


def _of_samples(name: str, where: str, summary: str, paper: str | None = None, **presets: Any) -> AttackEntry:
    """An attack on samples."""
    factory = f"jurat.attacks.methods.{where}"
    return AttackEntry(name, summary, factory, paper=paper, changes="sample", presets=presets)


ATTACKS: Registry[AttackEntry] = Registry(
    "attacks",
    "attack",
    AttackEntry,
    [
        _entry("noise", "noise:Noise", "random noise at the same budget, the control", None),
        _entry(
            "carlini",
            "carlini:Carlini",
            "the beginning of a reply, by projected gradient descent on any picture",
            "arXiv:2306.15447",
        ),
        _entry(
            "shayegani",
            "shayegani:Shayegani",
            "a picture that the vision encoder takes for a trigger",
            "arXiv:2307.14539",
        ),
        _entry(
            "dong",
            "dong:Dong",
            "transfer from surrogates, away from the clean features or to a text",
            "arXiv:2309.11751",
            as_released={"rate": 3.2 / 255},
        ),
        _entry(
            "qi",
            "qi:Qi",
            "one picture for many requests, from a small corpus of texts",
            "arXiv:2306.13213",
        ),
        _entry(
            "tu",
            "tu:Tu",
            "a picture that CLIP takes for a wrong word",
            "arXiv:2311.16101",
        ),
        _entry(
            "cropa",
            "luo:Luo",
            "one picture for unseen prompts, against perturbations of the prompts' embeddings",
            "arXiv:2403.09766",
            as_released={"prompt_every": 30, "prompt_until": 300},
        ),
        _entry(
            "bagdasaryan",
            "bagdasaryan:Bagdasaryan",
            "a reply of the attacker's that steers the conversation, token by token",
            "arXiv:2307.10490",
        ),
        _entry(
            "schlarmann-hein",
            "schlarmann_hein:SchlarmannHein",
            "imperceptible changes that spoil captions and answers",
            "arXiv:2308.10741",
        ),
        _entry(
            "image-hijacks",
            "image_hijacks:ImageHijacks",
            "a behaviour over many contexts, by a ball, a patch or a moving patch",
            "arXiv:2309.00236",
        ),
        _entry(
            "fu",
            "fu:Fu",
            "a call of a tool from a picture that looks clean",
            "arXiv:2310.03185",
        ),
        _entry(
            "gcg",
            "gcg:Gcg",
            "a suffix for prompts, by greedy coordinate gradient",
            "arXiv:2307.15043",
            "text",
        ),
        _entry(
            "qi-text",
            "qi_text:QiText",
            "the text counterpart of qi, token by token",
            "arXiv:2306.13213",
            "text",
        ),
        _entry(
            "embedding-search",
            "embedding_search:Search",
            "a suffix for prompts, by descent in the space of embeddings and projection to tokens",
            None,
            "text",
        ),
        AttackEntry(
            "ring-a-bell",
            "a prompt that brings back what was removed from a text-to-image model, by genetic search",
            "jurat.attacks.methods.ring_a_bell:RingABell",
            extra="local",
            paper="arXiv:2310.10012",
            changes="prompt",
            presets={"as_released": {"keep_best": False, "by_text": False}},
        ),
        _of_samples(
            "liu",
            "liu:Liu",
            "the key phrase of a request moves into its picture",
            "arXiv:2311.17600",
        ),
        _of_samples(
            "gong",
            "gong:Gong",
            "the request as a picture of an unfinished list",
            "arXiv:2311.05608",
            pro={"pieces": 3},
        ),
        _of_samples(
            "wu",
            "wu:Wu",
            "a model writes introductions from the leaked system prompt",
            "arXiv:2311.09127",
        ),
        _of_samples(
            "chen",
            "chen:Chen",
            "a misleading label, a prefix or a question in two hops",
            "arXiv:2310.02224",
        ),
        _of_samples("overlay", "overlay:Overlay", "a text over the picture, a control"),
        _of_samples("jpeg", "jpeg:Jpeg", "JPEG compression, a control"),
        _of_samples("resize", "resize:Resize", "pictures scaled down and up again, a control"),
    ],
)


def open_attack(
    name: str, preset: str | None = None
) -> PictureAttack | TextAttack | SampleAttack | RingABell:
    """An attack by its name, with settings behind a question mark: "carlini?steps=50&rate=0.05".

    Raises:
        JuratError: there is no such attack, preset or setting, or a value does not fit.
    """
    plain, given = name_and_options(name)
    entry = ATTACKS.find(plain)
    if preset is not None and preset not in entry.presets:
        raise JuratError(
            f"The attack {plain!r} has no preset {preset!r}.", hint=suggestion(preset, entry.presets)
        )
    return open_entry(entry, ATTACKS.noun, given, entry.presets.get(preset or ""))
