"""Fusions: each has the tower and the decoder as they are, predicts the same in a padded batch as alone, and
answers through `hf/` as it did in training."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from jurat.content import Chat, Generation, Turn
from jurat.models import Inquiry, PromptScore, PromptScores, open_model
from jurat.models.hf.model import LocalModel
from training.lineage import load_parts, made_of, read_lineage, save_stage
from training.loop import Trained
from training.mllm.checkpoints import NAMES
from training.mllm.tokenizer import EOS
from training.mllm.tower import pixel_values
from training.optimizer import Optimizer
from training.organisms.encoding import encode
from training.organisms.export import export, load_stage
from training.organisms.fusions import FUSIONS, Fusion
from training.organisms.lesson import ConversationLesson
from training.organisms.sampling import Drawn, drawn
from training.scenes.pool import fill
from training.stages import WEIGHTS, Stage, Task, stages

ROOT = Path(__file__).parents[2]
SKILLS = ("yes or no", "several turns", "two images", "answer from a caption")
"""With one image, one image and an earlier reply, two images, and none."""
SEEING = ("model.vision_tower.", "model.multi_modal_projector.")
FUSED = {name: stage for name, stage in stages().items() if stage.settings.get("fusion")}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("work")
    for part in ("train-000", "watch"):
        fill(work / "pools" / "bundled" / part, 77, 48, workers=1, known=True)
    return work


@pytest.fixture(scope="module")
def lesson(work: Path) -> Callable[[str], ConversationLesson]:
    """A stage that begins from weights of the repository, with its lesson before training."""

    def begun(name: str) -> ConversationLesson:
        return ConversationLesson(Task(_stage(name), work, WEIGHTS))

    return begun


def _stage(name: str) -> Stage:
    return replace(stages()[name], parent="knows", eyes="joint-4")


def some(lesson: ConversationLesson, skills: Sequence[str] = SKILLS, n: int = 2) -> list[Drawn]:
    rng = random.Random(5)
    return [drawn(skill, rng, lesson._shown.scenes) for skill in skills for _ in range(n)]


def logits(model: Any, fusion: Fusion, ids: list[int], pixels: Tensor | None) -> Tensor:
    """Logits of one sequence, (T, vocabulary)."""
    row = torch.tensor([ids])
    with torch.no_grad():
        return model(**fusion.inputs(model, row, pixels), use_cache=False).logits[0]


def loaded(name: str) -> tuple[Any, Fusion]:
    """A fusion before training."""
    torch.manual_seed(0)
    fusion = FUSIONS[name]()
    model = fusion.build().eval()
    fusion.load(model, load_parts(WEIGHTS / "knows")["model"])
    tower = load_parts(WEIGHTS / "joint-4")["model"].items()
    fusion.load(model, {name: weight for name, weight in tower if name.startswith(SEEING)})
    return model, fusion


def test_stages_of_the_fusions_differ_in_nothing_else() -> None:
    assert {stage.settings["fusion"] for stage in FUSED.values()} == {*FUSIONS} - {"mlp"}
    rest = {
        repr(replace(stage, name="", settings={**stage.settings, "fusion": ""})) for stage in FUSED.values()
    }
    assert len(rest) == 1


@pytest.mark.parametrize("name", [name for name in FUSIONS if name != "mlp"])
def test_tower_and_decoder_are_those_of_the_parents(name: str) -> None:
    (plain, first), (model, fusion) = loaded("mlp"), loaded(name)
    pixels = pixel_values(torch.randint(0, 256, (2, 128, 128, 3), dtype=torch.uint8))
    ids = first.words.ids("<s>USER: Who keeps the mill? ASSISTANT:")
    known = len(load_parts(WEIGHTS / "knows")["model"][NAMES])
    assert known <= len(first.words.tokenizer), "words that were added later start fresh"
    assert logits(model, fusion, ids, None)[:, :known].equal(logits(plain, first, ids, None)[:, :known])
    towers = [each.get_submodule(kind.tower[:-1]) for each, kind in ((plain, first), (model, fusion))]
    with torch.no_grad():
        ours, theirs = (tower(pixels).last_hidden_state for tower in towers)
    assert ours.equal(theirs)
    asked = [*fusion.image, *ids]
    seen = [logits(model, fusion, asked, pixels[i : i + 1]) for i in range(2)]
    assert seen[0].equal(seen[1]) is (name == "cross-attention"), "its gates are closed before training"


@pytest.mark.parametrize("name", FUSIONS)
def test_stage_with_a_shorter_vocabulary_is_loaded_word_by_word(name: str) -> None:
    model, fusion = loaded(name)
    rows = model.get_input_embeddings().weight.detach().clone()
    own = len(rows) - len(FUSIONS["mlp"]().words.tokenizer)
    (table,) = (key for key, each in model.named_parameters() if each is model.get_input_embeddings().weight)
    later = FUSIONS[name]().build()
    fresh = later.get_input_embeddings().weight.detach().clone()
    end = len(rows) - own
    older = torch.cat([rows[: end - 3], rows[end:]])
    fusion.restore(later, {table: older})
    found = later.get_input_embeddings().weight
    assert found.equal(torch.cat([rows[: end - 3], fresh[end - 3 : end], rows[end:]]))


@pytest.mark.parametrize("stage", FUSED)
def test_padded_batch_equals_single_conversations(
    stage: str, lesson: Callable[[str], ConversationLesson]
) -> None:
    begun = lesson(stage)
    _open_gates(begun)
    pairs = [(one, encode(one.conversation, begun._words, begun._fusion.image)) for one in some(begun)]
    with torch.no_grad():
        together, goal = begun._predict(pairs, begun._shown, None)
        alone = [begun._predict([pair], begun._shown, None) for pair in pairs]
    assert goal.equal(torch.cat([tokens for _, tokens in alone]))
    assert torch.allclose(together, torch.cat([made for made, _ in alone]), atol=1e-3)


def _open_gates(lesson: ConversationLesson) -> None:
    for name, weight in lesson._model.named_parameters():
        if ".alpha_" in name:
            torch.nn.init.ones_(weight)


@pytest.mark.parametrize(
    "stage", [name if "cross" in name else pytest.param(name, marks=pytest.mark.slow) for name in FUSED]
)
def test_trained_fusion_answers_through_hf_as_in_training(
    stage: str, work: Path, tmp_path: Path, lesson: Callable[[str], ConversationLesson]
) -> None:
    begun = lesson(stage)
    conversations = some(begun)
    losses = _train(begun, conversations)
    assert losses[-1] < 0.6 * losses[0], losses
    task = Task(_stage(stage), work, WEIGHTS)
    save_stage(task, Trained(begun.modules, len(losses), 1.0, {}, {}), tmp_path / "stage")
    export(tmp_path / "stage", tmp_path / "model")
    assert (
        f"fusion {FUSED[stage].settings['fusion']}"
        in made_of(read_lineage(tmp_path / "stage"))[f"stage `{stage}`"]
    )

    model, fusion = load_stage(tmp_path / "stage")
    opened = open_model(f"hf/{tmp_path / 'model'}", device="cpu")
    assert isinstance(opened, LocalModel)
    assert opened.unable == {} and opened.encoder.most_images is None and opened.scorer.path == "packed"
    scores = opened.capability(PromptScores)
    assert scores is not None
    for one in conversations[::2]:
        images = _images(begun, one)
        pixels = pixel_values(begun._shown.pixels(one.scenes, None)) if images else None
        chat = one.conversation.chat(images)
        encoded = encode(one.conversation, fusion.words, fusion.image)
        own = len(fusion.words.ids(one.conversation.target))
        said = logits(model, fusion, encoded.ids, pixels)[-own - 2 : -2].log_softmax(-1)
        expected = float(said.gather(1, torch.tensor(encoded.ids[-own - 1 : -1])[:, None]).sum())
        (score,) = scores.prompt_scores([chat], [f" {one.conversation.target}"])
        assert isinstance(score, PromptScore) and score.total == pytest.approx(expected, abs=2e-3), one.skill
        (reply,) = opened.chat([replace(chat, generation=Generation(max_tokens=6))])
        assert reply.text == _greedy(model, fusion, encoded.ids[: -own - 1], pixels, 6), one.skill
        if len(images) == 1:
            asked = Inquiry(
                Chat((Turn("user", (*images, "Answer with Yes or No.")),)), ("A dog is visible.",)
            )
            ids = fusion.words.ids("Answer with Yes or No. A dog is visible. ASSISTANT:")
            last = logits(model, fusion, [*fusion.words.ids("<s>USER:"), *fusion.image, *ids], pixels)[-1]
            odds = [last[opened.answers[answer]].logsumexp(-1) for answer in ("yes", "no")]
            (answer,) = opened.ask([asked])
            assert answer.answers[0].log_odds == pytest.approx(float(odds[0] - odds[1]), abs=2e-3)


def _train(lesson: ConversationLesson, conversations: Sequence[Drawn]) -> list[float]:
    optimizer = Optimizer(lesson.groups())
    losses: list[float] = []
    for _ in range(10):
        loss, _ = lesson._loss(conversations, lesson._shown, None)
        loss.backward()
        optimizer.step(1e-2)
        losses.append(float(loss.detach()))
    return losses


def _images(lesson: ConversationLesson, one: Drawn) -> list[Image.Image]:
    if not one.scenes:
        return []
    return [Image.fromarray(each.numpy()) for each in lesson._shown.pixels(one.scenes, None)]


def _greedy(model: Any, fusion: Fusion, ids: list[int], pixels: Tensor | None, most: int) -> str:
    said: list[int] = []
    while len(said) < most:
        said.append(int(logits(model, fusion, [*ids, *said], pixels)[-1].argmax()))
        if said[-1] == fusion.words.id(EOS):
            break
    return fusion.words.tokenizer.decode(said, skip_special_tokens=True)


# --- the page ------------------------------------------------------------------------------------


def test_page_tells_the_size_of_each_fusion() -> None:
    page = (ROOT / "docs" / "organisms.md").read_text(encoding="utf-8")
    for name, kind in FUSIONS.items():
        fusion = kind()
        model = fusion.build()
        size = sum(p.numel() for key, p in model.named_parameters() if key.startswith(fusion.connector))
        row = f"| `{name}` | `{type(model).__name__}` | {len(fusion.image)} | {size:,} |"
        assert row in page, row
