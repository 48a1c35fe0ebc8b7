"""Which defenses there are, and how a model is put under them.

A defense of ours is a file of `methods/` and an entry here; a third party's is an entry point of the group
`jurat.defenses`, whose factory is a subclass of `Defense`. `jpeg?quality=50` changes a setting.
"""

from __future__ import annotations

from collections.abc import Sequence

from jurat.defenses.defense import Defense
from jurat.models import Model
from jurat.named_settings import open_named
from jurat.registry import Entry, Registry

__all__ = ["DEFENSES", "defend", "open_defense"]


def _entry(name: str, where: str, summary: str, paper: str | None = None, extra: str | None = None) -> Entry:
    return Entry(name, summary, f"jurat.defenses.methods.{where}", paper=paper, extra=extra)


DEFENSES: Registry[Entry] = Registry(
    "defenses",
    "defense",
    Entry,
    [
        _entry(
            "system-prompt",
            "prompts:SystemPrompt",
            "says what the model can and cannot do, before or beside each request",
            "arXiv:2311.09127",
        ),
        _entry(
            "adashield",
            "prompts:AdaShield",
            "has the model examine the image before it follows the request",
            "arXiv:2403.09513",
        ),
        _entry(
            "image-pairs",
            "prompts:ImagePairs",
            "has the model reason over what several images mean together",
            "arXiv:2501.18533",
        ),
        _entry(
            "self-moderation",
            "self_moderation:SelfModeration",
            "the model checks its answer against a privacy policy, and is asked whether it is sure",
            "arXiv:2310.02224",
        ),
        _entry(
            "ecso",
            "ecso:Ecso",
            "an answer that the model calls harmful is made again from a caption, without the image",
            "arXiv:2403.09572",
        ),
        _entry(
            "dress",
            "dress:Dress",
            "the model criticizes its answer in words, and answers again with that feedback",
            "arXiv:2311.10081",
        ),
        _entry(
            "protector",
            "protector:Protector",
            "a fitted detector reads each answer; harmful ones are rewritten by a model, or refused",
            "arXiv:2401.02906",
            "local",
        ),
        _entry(
            "jailbreak-detector",
            "jailbreak_detector:JailbreakDetector",
            "a fitted detector reads the hidden states of each prompt, and harmful ones are blocked",
            extra="local",
        ),
        _entry(
            "coca",
            "coca:Coca",
            "what a safety principle changes in the logits of each token is amplified",
            "arXiv:2409.11365",
            "local",
        ),
        _entry(
            "inferaligner",
            "infer_aligner:InferAligner",
            "activations are shifted towards refusal where the prompt looks harmful to the model itself",
            "arXiv:2401.11206",
            "local",
        ),
        _entry("jpeg", "pictures:Jpeg", "pictures are compressed"),
        _entry("resize", "pictures:Resize", "pictures are scaled down and up again"),
        _entry(
            "smoothing",
            "ensembles:Smoothing",
            "several noisy copies of each picture vote",
            "arXiv:2310.03684",
        ),
        _entry("random-views", "ensembles:RandomViews", "several random crops of each picture vote"),
        _entry(
            "ocr-first",
            "ocr_first:OcrFirst",
            "text in a picture is read beforehand, and quoted as content",
            extra="ocr",
        ),
        _entry(
            "constitution",
            "constitution_guard:ConstitutionGuard",
            "jurat's judge before and after the model: blocks, rewrites or holds for review",
        ),
    ],
)


def open_defense(name: str) -> Defense:
    """A defense by its name, with settings behind a question mark: "jpeg?quality=50".

    Raises:
        JuratError: there is no such defense or setting, or a value does not fit.
    """
    return open_named(DEFENSES, name)


def defend(model: Model, defenses: Sequence[Defense | str]) -> Model:
    """The model under these defenses. The first sees a conversation first and a reply last.

    Raises:
        JuratError: there is no such defense, or one needs what the model lacks.
    """
    opened = [open_defense(each) if isinstance(each, str) else each for each in defenses]
    for defense in reversed(opened):
        model = defense.over(model)
    return model
