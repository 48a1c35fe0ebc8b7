"""Scores of given continuations equal teacher forcing by plain transformers, family by family."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from jurat.content import Chat, Failure, Turn
from jurat.models import ModelError, PromptScore, PromptScores, open_model
from jurat.models.bundled.model import BundledModel
from jurat.models.hf.model import LocalModel
from jurat.models.hf.prompt_scores import ContinuedPrompt, PromptScorer
from jurat.models.hf.scoring import Scorer

from ..families import BY_NAME, FAMILIES, NO, SQUARE, YES, Family
from ..folders import FOLDERS, save
from ..more_families import MORE
from ..tiny import noise, picture, scene
from .test_folders import families
from .test_processors import INSTRUCTION

WIDE = (64, 32)
REPLIES = (" Yes .", " No , a dog is visible .", " Yes", " No , a cat is visible .")


class NetworkOnly:
    """The parts of a model that `PromptScorer` needs, around a bare network."""

    def __init__(self, network: Any) -> None:
        from contextlib import nullcontext

        self.network = network
        self.scorer = Scorer(network, YES, NO)
        self.computing = nullcontext()
        self.continuation_refusals: dict[Any, Any] = {}


def found(scores: Sequence[PromptScore | Failure]) -> list[tuple[float, ...]]:
    assert not [one for one in scores if isinstance(one, Failure)]
    return [one.log_probabilities for one in scores if isinstance(one, PromptScore)]


def forced(network: Any, ids: torch.Tensor, tokens: Sequence[int], **inputs: Any) -> list[float]:
    """Log-probabilities by one forward pass over the whole sequence, which ends with `tokens`."""
    with torch.inference_mode():
        inputs = {"attention_mask": torch.ones_like(ids[None]), **inputs}
        logits = network(input_ids=ids[None], **inputs).logits[0]
    chances = logits[-len(tokens) - 1 : -1].log_softmax(-1)
    return chances[range(len(tokens)), list(tokens)].tolist()


def scored(
    family: Family, lengths: Sequence[int], seed: int, sizes: Any = (SQUARE,)
) -> list[ContinuedPrompt]:
    prompt = family.prompt(seed, lengths, sizes)
    return [ContinuedPrompt.of(replace(prompt, segments=(segment,))) for segment in prompt.segments]


def expected(family: Family, row: ContinuedPrompt) -> list[float]:
    network = family.network()
    ids, along = row.prompt.row(row.tokens)
    return forced(network, ids, row.tokens, **{k: v[None] for k, v in along.items()}, **row.prompt.images)


CAUSAL = [family for family in (*FAMILIES, *MORE) if family.name != "paligemma"]
"""PaliGemma's conversations see what follows them: see the second test."""


@pytest.mark.parametrize("family", CAUSAL, ids=lambda family: family.name)
def test_scores_equal_teacher_forcing_in_batches_and_alone(family: Family) -> None:
    rows = [*scored(family, (5, 1, 5, 8), 1), *scored(family, (5, 8), 4), *scored(family, (3,), 2, (WIDE,))]
    rows += scored(family, (4, 2), 3, None)
    scorer = PromptScorer(NetworkOnly(family.network()))  # pyright: ignore[reportArgumentType]
    together = found(scorer.score(rows))
    for row, scores in zip(rows, together, strict=True):
        scorer._parts.scorer.fresh()
        assert scores == pytest.approx(expected(family, row), abs=2e-4)
        assert scores == pytest.approx(found(scorer.score([row]))[0], abs=2e-4)
    assert len({round(scores[0], 3) for scores in together}) > len(rows) / 2, "they depend on what is read"


def test_family_that_attends_ahead_is_refused() -> None:
    """PaliGemma's prefix attends in both directions, so the continuation would be seen before it is said."""
    family = BY_NAME["paligemma"]
    scorer = PromptScorer(NetworkOnly(family.network()))  # pyright: ignore[reportArgumentType]
    several, one = scorer.score(scored(family, (3, 1), 1))
    assert isinstance(several, Failure) and "attends to what follows it" in several.reason
    assert isinstance(one, PromptScore), "there is nothing to be seen ahead of one token"


def test_conversation_without_finite_logits_fails_alone() -> None:
    family = BY_NAME["llava"]
    scorer = PromptScorer(NetworkOnly(family.network()))  # pyright: ignore[reportArgumentType]
    (good,), (first,) = scored(family, (3,), 1), scored(family, (3,), 2)
    pixels = first.prompt.images["pixel_values"]
    broken = replace(first.prompt, images={"pixel_values": torch.full_like(pixels, math.nan)})
    failed, one = scorer.score([ContinuedPrompt.of(broken), good])
    assert isinstance(failed, Failure) and failed.reason == "The model's logits are not finite."
    assert isinstance(one, PromptScore)
    assert list(one.log_probabilities) == pytest.approx(expected(family, good), abs=2e-4)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LocalModel]:
    models: dict[str, Any] = {}

    def model(name: str) -> LocalModel:
        if name not in models:
            models[name] = open_model(
                f"hf/{save(FOLDERS[name](), tmp_path_factory.mktemp(name))}", device="cpu"
            )
        return models[name]

    return model


def about(*parts: Any) -> Chat:
    return Chat((Turn("user", (*parts, INSTRUCTION)),))


@pytest.mark.parametrize("name", families())
def test_processed_conversations_are_scored_per_family(
    name: str, opened: Callable[[str], LocalModel]
) -> None:
    model = opened(name)
    scores = model.capability(PromptScores)
    assert scores is not None
    chats = [about(picture(i, size)) for i, size in enumerate([(40, 40), (60, 40), (40, 40), (20, 70)])]
    together = scores.prompt_scores(chats, REPLIES)
    for chat, reply, one in zip(chats, REPLIES, together, strict=True):
        (alone,) = found(scores.prompt_scores([chat], [reply]))
        assert isinstance(one, PromptScore) and one.tokens == len(reply.split())
        assert one.log_probabilities == pytest.approx(alone, abs=2e-4)
        assert one.log_probabilities == pytest.approx(_by_processor(model, chat, reply), abs=2e-4)
        assert one.total == pytest.approx(sum(alone), abs=1e-3)


def _by_processor(model: LocalModel, chat: Chat, reply: str) -> list[float]:
    """Teacher forcing by the family's own processor and network alone."""
    encoder = model.encoder
    text, tokens = encoder.render(chat), encoder.tokenizer(reply, add_special_tokens=False)["input_ids"]
    network = getattr(model.network, "_network", model.network)
    apart = getattr(model.network, "begins", None)
    # Chameleon's processor ends every text with a token of its own; InstructBLIP's Q-Former reads the text.
    family = model.name.rpartition("/")[2].rstrip("0123456789")  # the folder's name, with a number behind it
    ends = family in ("chameleon", "instructblip-vicuna")
    made = encoder.process(text if apart or ends else f"{text}{reply}", [chat.images])
    ids = made["input_ids"][0]
    if ends:
        made.pop("attention_mask")
        ids = torch.cat([ids, torch.tensor(tokens)])
    inputs = {k: v for k, v in made.items() if k in encoder._accepted and k != "input_ids"}
    inputs = {k: v.float() if v.is_floating_point() else v for k, v in inputs.items()}
    if not apart:
        return forced(network, ids, tokens, **inputs)
    decoded = torch.tensor([[*apart, *tokens[:-1]]])
    with torch.inference_mode():
        logits = network(input_ids=ids[None], decoder_input_ids=decoded, **inputs).logits[0, -len(tokens) :]
    return logits.log_softmax(-1)[range(len(tokens)), tokens].tolist()


def test_prefilled_assistant_turn_is_scored_as_a_continuation(llava: LocalModel) -> None:
    scores = llava.capability(PromptScores)
    assert scores is not None
    free = about(picture(1))
    begun = replace(free, turns=(*free.turns, Turn("assistant", ("Yes .",))))
    whole, first, rest = found(scores.prompt_scores([free, free, begun], ["Yes . A dog", "Yes .", " A dog"]))
    assert [*first, *rest] == pytest.approx(whole, abs=2e-4)


def test_first_token_scores_are_probabilities(llava: LocalModel) -> None:
    scores = llava.capability(PromptScores)
    assert scores is not None
    chances = llava.scorer.logits([(llava.encoder.encode_chat(about(picture(1))), ())])  # of one token less
    assert chances.shape[1] == 1
    yes, no = found(scores.prompt_scores([about(picture(1))] * 2, ["Yes", "No"]))
    reply = llava.chat([replace(about(picture(1)))])[0].text.split()[0]
    (likeliest,) = found(scores.prompt_scores([about(picture(1))], [reply]))
    assert math.exp(yes[0]) + math.exp(no[0]) <= 1.0 and likeliest[0] >= max(yes[0], no[0]) - 1e-4


def test_unscorable_continuation_fails_alone(llava: LocalModel) -> None:
    scores = llava.capability(PromptScores)
    assert scores is not None
    good, empty, last = scores.prompt_scores([about(picture(1))] * 3, ["Yes .", "", "No"])
    assert isinstance(good, PromptScore) and isinstance(last, PromptScore)
    assert isinstance(empty, Failure) and "the continuation has no tokens" in empty.reason
    with pytest.raises(ValueError, match="1 conversations and 2 continuations"):
        scores.prompt_scores([about(picture(1))], ["Yes", "No"])


def test_model_that_needs_an_image_refuses_text_only_chats(llava: LocalModel) -> None:
    model = LocalModel.__new__(LocalModel)
    model.__dict__ |= llava.__dict__
    model.unable = {"questions without an image": "its forward pass needs one"}
    scores = model.capability(PromptScores)
    assert scores is not None
    with pytest.raises(ModelError, match="its forward pass needs one"):
        scores.prompt_scores([about()], ["Yes"])


def test_bundled_model_scores_only_scenes(bundled: BundledModel) -> None:
    scores = bundled.capability(PromptScores)
    assert scores is not None
    chats = [about(scene(1)), about(noise()), about(scene(2))]
    first, foreign, last = scores.prompt_scores(chats, ["Yes", "Yes", "No"])
    assert isinstance(foreign, Failure) and foreign.kind == "out_of_domain"
    for chat, reply, one in ((chats[0], "Yes", first), (chats[2], "No", last)):
        expected = PromptScorer(bundled._local).prompt_scores([chat], [reply])
        assert found([one])[0] == pytest.approx(found(expected)[0], abs=2e-4)
