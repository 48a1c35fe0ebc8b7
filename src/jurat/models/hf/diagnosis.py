"""How a model is asked its questions, and why: what `jurat models --explain` prints.

The model is asked a few questions with and without a meaningless picture, so that the report says what it
did, checks included, and not what it should do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from jurat.content import Chat, Turn
from jurat.models.hf import attention
from jurat.models.hf.joinable_inputs import pictures
from jurat.models.hf.masks import UnsupportedPath, separate_masks
from jurat.models.hf.positions import prefix_positions
from jurat.models.protocol import Inquiry

if TYPE_CHECKING:
    from jurat.models.hf.model_parts import ModelParts
    from jurat.models.hf.prompt import Prompt

_INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."
_QUESTIONS = (
    "Statement: A child is visible.",
    "Statement: A dog is left of a car.",
    "Statement: Nothing but a tree is visible.",
)
FIRST_TOKENS = "begins"
"""The subject of lines about the first tokens of an answer."""
_SHOWN = 3
_SIDE = 224
_PATHS = {
    "packed": "packed: the prefix and all questions in one forward pass",
    "cached": "cached: the prefix once, then one row per question from a copy of its cache",
    "plain": "plain: every question with the whole prefix, in batches",
}


@runtime_checkable
class Diagnosable(Protocol):
    """Capability of a model that can say how it is asked, and why so."""

    def explain(self) -> list[tuple[str, str]]:
        """(what, how) a line. Asks the model a few questions."""
        ...


def explain(model: ModelParts) -> list[tuple[str, str]]:
    """See `Diagnosable`."""
    chats = [Chat((Turn("user", (*parts, _INSTRUCTION)),)) for parts in ((pictures(_SIDE)[0],), ())]
    with model.preparing:
        encoded = [model.encoder.encode(Inquiry(chat, _QUESTIONS)) for chat in chats]
    with model.computing:
        return _lines(model, encoded)


def _lines(model: ModelParts, encoded: Sequence[list[Prompt]]) -> list[tuple[str, str]]:
    """What asking the same questions with and without an image shows."""
    scorer = model.scorer
    with_image, without = (prompts[0] for prompts in encoded)
    for prompts in encoded:
        scorer.score(prompts)
    lines = [("path", _PATHS[scorer.path])]
    lines += [("template", remark) for remark in model.encoder.template.remarks]
    lines += [("not taken", f"{what}: {reason}") for what, reason in model.unable.items()]
    for path, reason in scorer.reasons.items():
        lines.append((f"not {path}", reason))
    if len(encoded[0]) > 1:
        lines.append(("prompt", f"its questions are asked one by one: {model.encoder.unshared}"))
    lines += [
        ("layers", "; ".join(scorer.structure.layers) or "unknown"),
        ("attention", _attention(model.network)),
        ("masks", _masks(model.network, with_image, scorer.structure.window)),
        ("positions", _positions(model.network, with_image)),
        ("prefix", f"{len(with_image.prefix)} tokens with the image, {len(without.prefix)} without"),
    ]
    limit = None
    for check in scorer.checks:
        limit = check.limit
        lines.append(("checked", f"{check.form}: {check.path} and alone differ by {check.difference:.2g}"))
    if limit is not None:
        lines.append(("", f"in log-odds, of which {limit:.2g} would be rounding in {model.dtype}"))
    bounds = scorer.bounds
    most = f"{bounds.tokens:,} tokens, {bounds.entries:,} mask entries, {bounds.questions:,} questions"
    lines.append(("a pass", f"at most {most}"))
    lines += [("answers", text) for text in _answers(model)]
    for prompts, where in zip(encoded, ("with an image", "without an image"), strict=True):
        lines.append((FIRST_TOKENS, f"{where}: {_first_tokens(model, prompts[0])}"))
    return lines


def first_tokens(explained: Diagnosable) -> list[str]:
    """What a model begins its answers with, as it explains it."""
    return [how for what, how in explained.explain() if what == FIRST_TOKENS]


def _first_tokens(model: ModelParts, prompt: Prompt) -> str:
    """The likeliest ones of an answer with their probabilities, and what Yes and No have of it."""
    import torch

    with torch.inference_mode():
        row = (prompt, prompt.segments[-1])
        chances, ids = model.scorer.logits([row])[0, 0].float().softmax(-1).topk(_SHOWN)
        (answer,) = model.scorer.plain([row])
    tokenizer = model.encoder.tokenizer
    texts = [
        tokenizer.decode([token]) or tokenizer.convert_ids_to_tokens(token) or f"token {token}"
        for token in ids.tolist()
    ]
    named = [f"{text!r} {chance:.2g}" for text, chance in zip(texts, chances.tolist(), strict=True)]
    return f"{', '.join(named)}; Yes and No have {answer.mass:.2g}"


def _attention(network: Any) -> str:
    implementation = network.config.get_text_config(decoder=True)._attn_implementation
    if implementation == attention.NAME:
        return "sdpa; of a pack in blocks: the prefix, and runs of questions with the prefix"
    return f"{implementation}; of a pack under its whole mask"


def _masks(network: Any, prompt: Prompt, window: int | None) -> str:
    try:
        found = separate_masks(network, [prompt], max(map(len, prompt.segments)))
    except UnsupportedPath as unfit:
        return str(unfit)
    kinds = ", ".join(sorted(kind.replace("_", " ") for kind in found if kind)) or "one for all layers"
    return f"{kinds}; the narrowest window is {window:,} tokens" if window else kinds


def _positions(network: Any, prompt: Prompt) -> str:
    import torch

    ids = prompt.prefix[None].to(network.device)
    along = {k: v[None, :-1].to(network.device) for k, v in prompt.along.items()}
    images = {k: v.to(network.device) for k, v in prompt.images.items()}
    try:
        found = prefix_positions(network, ids, torch.ones_like(ids), {**images, **along})
    except (AttributeError, TypeError):  # a family of code of its own
        return "not known here"
    if found.ndim == 2:
        return "one number a token"
    ahead = len(prompt.prefix) - 1 - int(found[..., -1].min())
    return f"{len(found)} axes a token; the image moves the text by {-ahead}"


def _answers(model: ModelParts) -> Iterator[str]:
    for answer, ids in model.answers.items():
        tokens: Sequence[str] = model.encoder.tokenizer.convert_ids_to_tokens(ids)
        yield f"{answer}: {' '.join(repr(token) for token in tokens)}"
