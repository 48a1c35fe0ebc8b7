"""Training of the detector and the matcher: the tower stays frozen, the trained weights are exported."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from jurat.constitution import load_constitution
from jurat.content import Failure
from jurat.models.bundled.domain_gate import SETTINGS
from jurat.models.bundled.domain_gate import WEIGHTS as GATE
from jurat.models.bundled.model import WEIGHTS
from jurat.models.hf import detectors as detecting
from jurat.models.hf import matchers as matching
from jurat.pictograms.objects import CLASSES, NUMBER, OBJECTS
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import draw
from training.clip import train as clip
from training.clip.card import Pairs, draw_questions, set_threshold
from training.clip.texts import Text, TextSampler, about
from training.lineage import save_stage
from training.loop import train
from training.mllm.tower import pixel_values
from training.owl import train as owl
from training.owl.card import Tally, overlap
from training.queries import QUERIES, READING, SIGN, ask, wordings
from training.stages import Task, maker_of, stages
from training.tower_features import TowerFeatures, compute_features, states_of, truth_of

if TYPE_CHECKING:
    from transformers import CLIPVisionModel

SEED, COUNT = 77, 48
EYES: dict[str, Any] = {"owl": owl, "clip": clip}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("eyes")


def bundled_tower() -> CLIPVisionModel:
    model: Any = AutoModelForImageTextToText.from_pretrained(WEIGHTS, dtype=torch.float32)
    return model.model.vision_tower.eval()


@pytest.fixture(scope="module")
def seen(work: Path) -> TowerFeatures:
    return compute_features(work, bundled_tower(), SEED, COUNT, workers=1)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.stack([draw(np.random.default_rng(SEED + i)).pixels for i in range(6)])


def test_features_are_reproducible_from_the_seed(seen: TowerFeatures, work: Path, pixels: np.ndarray) -> None:
    scene = draw(np.random.default_rng(SEED + 3))
    kinds, boxes = truth_of(scene)
    assert np.array_equal(seen.kinds[3], kinds) and np.array_equal(seen.boxes[3], boxes)
    assert seen.present[3].nonzero()[:, 0].tolist() == sorted(set(scene.kinds))
    assert np.allclose(seen.states[:6], states_of(bundled_tower(), pixels), atol=1e-2)
    again = compute_features(work, bundled_tower(), SEED, COUNT)
    assert np.array_equal(again.states, seen.states)


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """Untrained detector and matcher over the bundled tower."""
    torch.manual_seed(0)
    made = {}
    for name, eye in EYES.items():
        tokenizer = eye.tokenizer_of()
        made[name] = (eye.build(bundled_tower(), len(tokenizer)).eval(), tokenizer)
    return made


@pytest.mark.parametrize("name", EYES)
def test_tower_states_equal_those_in_the_mllm_bit_for_bit(
    models: dict[str, Any], name: str, pixels: np.ndarray
) -> None:
    tower, model = bundled_tower(), models[name][0]
    tower.set_attn_implementation("eager")  # as the eyes are trained; equal sums need equal arithmetic
    vision = model.owlvit.vision_model if name == "owl" else model.vision_model
    values = pixel_values(torch.from_numpy(pixels))
    with torch.inference_mode():
        expected = tower(values, output_hidden_states=True).hidden_states
        found = vision(values, output_hidden_states=True).hidden_states
    assert len(found) == len(expected) + 1  # one more layer on top
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=False))


def test_detector_training_equals_the_model_forward_pass(models: dict[str, Any], pixels: np.ndarray) -> None:
    model, tokenizer = models["owl"]
    words = ["kitchen knife", "a sign that reads STOP", "animals"]
    values = pixel_values(torch.from_numpy(pixels))
    tokens = tokenizer(words, padding="max_length", max_length=16, return_tensors="pt")
    with torch.inference_mode():
        patches, boxes = owl.look(
            model, model.owlvit.vision_model(values, output_hidden_states=True).hidden_states[6]
        )
        logits, _ = model.class_predictor(patches, owl.read(model, tokenizer, words))
        for i in range(len(pixels)):
            whole = model(tokens["input_ids"], values[i : i + 1], tokens["attention_mask"])
            assert torch.allclose(whole.logits[0], logits[i], atol=1e-4)
            assert torch.allclose(whole.pred_boxes[0], boxes[i], atol=1e-5)


def test_matcher_training_equals_the_model_forward_pass(models: dict[str, Any], pixels: np.ndarray) -> None:
    model, tokenizer = models["clip"]
    texts = [
        "A child is visible.",
        "No child may be shown touching a blade, unless a woman is visible.",
        "A dog",
    ]
    values = pixel_values(torch.from_numpy(pixels))
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model.vision_model(values, output_hidden_states=True).hidden_states[6]
        found = clip.embed_scenes(model, states) @ clip.embed_texts(model, tokenizer, texts).T
        whole = model(tokens["input_ids"], values, tokens["attention_mask"])
    assert torch.allclose(found, whole.image_embeds @ whole.text_embeds.T, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", EYES)
def test_training_updates_all_but_the_tower_resumes_and_exports(
    seen: TowerFeatures,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    eye, lesson = EYES[name], {"owl": "detector", "clip": "matcher"}[name]
    monkeypatch.setattr(eye, "features_for", lambda _: (seen, bundled_tower()))
    schedule = replace(stages()[name].schedule, steps=2, batch=8)
    task = Task(replace(stages()[name], schedule=schedule, parent=None), tmp_path, tmp_path)
    assert task.stage.lesson == lesson
    first = train(maker_of(task), schedule, tmp_path / "a.pt")
    done = train(maker_of(task), replace(schedule, steps=5), tmp_path / "a.pt")
    assert (first.steps, done.steps, done.counts["scenes"]) == (2, 5, 40)
    eye.export(save_stage(task, done, tmp_path / "stage"), tmp_path / name)
    for file in (SETTINGS, GATE):
        shutil.copyfile(WEIGHTS / file, tmp_path / name / file)
    assert (tmp_path / name / "model.safetensors").stat().st_size < 8e6

    scenes = [draw(np.random.default_rng(i)).image for i in range(3)]
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8))
    if name == "owl":
        detector = detecting.open_bundled("", "cpu", tmp_path / name)
        found: list[Any] = detector.detect(
            [*scenes, noise, scenes[0]], [["child"]] * 4 + [["unicorn", "child"]]
        )
        network = detector.network.owlvit.vision_model
    else:
        set_threshold(tmp_path / name, 0.31)
        matcher = matching.open_bundled("", "cpu", tmp_path / name)
        assert matcher.relevant_above == 0.31
        found = matcher.match([*scenes, noise], ["A child is visible."])
        found += matcher.match(scenes[:1], ["A child is visible.", "No unicorn may be visible."])
        network = matcher.network.vision_model
    assert not any(isinstance(entry, Failure) for entry in found[:3])
    assert isinstance(found[3], Failure) and found[3].kind == "out_of_domain" and "unlike" in found[3].reason
    assert found[4] == Failure("out_of_domain", "The bundled model never learned 'unicorn'.")
    tower = {k.replace("pre_layrnorm", "pre_layernorm"): v for k, v in bundled_tower().state_dict().items()}
    kept = {k.replace("pre_layrnorm", "pre_layernorm"): v for k, v in network.state_dict().items()}
    assert all(torch.equal(kept[k], v) for k, v in tower.items() if not k.startswith("post_layernorm"))


def test_training_lowers_the_loss(models: dict[str, Any], seen: TowerFeatures) -> None:
    model, tokenizer = models["owl"]
    members, words = owl.membership(), random.Random(0)
    states = torch.from_numpy(np.asarray(seen.states[:8], np.float32))
    truth = torch.from_numpy(seen.kinds[:8].astype(np.int64)), torch.from_numpy(seen.boxes[:8])
    optimizer = torch.optim.AdamW([p for _, p in owl.trained(model)], lr=1e-3)
    totals = []
    for _ in range(8):
        parts = owl.losses(
            *owl.look(model, states),
            owl.read(model, tokenizer, ask(words)),
            owl.goal_of(*truth, members),
            model,
        )
        total = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0], totals


def test_target_of_a_patch_is_the_object_centred_in_it() -> None:
    kinds = torch.tensor([[NUMBER["child"], NUMBER["dog"], -1]])
    corners = torch.tensor([[[0.0, 0.0, 0.15, 0.15], [0.5, 0.5, 0.74, 0.9], [0.0, 0.0, 0.0, 0.0]]])
    goal = owl.goal_of(kinds, corners, owl.membership())
    found = {(int(p), QUERIES[int(q)].singular) for _, p, q in goal.classes.nonzero()}
    assert found == {(0, "child"), (0, "person"), (5 * 8 + 4, "dog"), (5 * 8 + 4, "animal")}
    assert goal.owned[0].nonzero()[:, 0].tolist() == [0, 5 * 8 + 4, 5 * 8 + 5]  # 0.62 * 8 is 4.96
    assert not goal.judged[0, 5 * 8 + 5, [q.singular for q in QUERIES].index("dog")]
    assert goal.judged[0, 5 * 8 + 5, [q.singular for q in QUERIES].index("child")]
    assert goal.boxes[0, 1].tolist() == pytest.approx([0.62, 0.7, 0.24, 0.4])


def test_generalized_iou_of_equal_apart_and_nested_boxes() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.1, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2]])
    others = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.9, 0.5, 0.2, 0.2], [0.5, 0.5, 0.4, 0.4]])
    assert owl.generalized_iou(boxes, others).tolist() == pytest.approx([1.0, -0.6, 0.25], abs=1e-5)


def test_every_query_is_tokenized_without_unknown_words() -> None:
    tokenizer = owl.tokenizer_of()
    assert clip.tokenizer_of().convert_tokens_to_ids("</s>") == len(clip.tokenizer_of()) - 1
    assert tokenizer.convert_tokens_to_ids("</s>") == len(tokenizer) - 1  # where an OWL-ViT looks for it
    for noun in QUERIES:
        for text in wordings(noun):
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids and len(ids) <= owl.LONGEST, text
    assert {SIGN, *READING} < set(QUERIES)
    assert len(ask(random.Random(0))) == len(QUERIES)


def test_texts_have_known_words_and_half_are_relevant() -> None:
    tokenizer = clip.tokenizer_of()
    relevant = []
    for held_out in (False, True):
        writer = TextSampler(random.Random(3), held_out=held_out)
        for seed in range(400):
            there = random.Random(seed).sample(range(CLASSES), 4)
            for text in writer.write(there, 2):
                assert tokenizer.unk_token_id not in tokenizer(text.text)["input_ids"], text.text
                relevant.append(text.relevant(set(there)))
    assert 0.4 < np.mean(relevant) < 0.7
    for rule in load_constitution("shelf:nursery").rules:
        assert tokenizer.unk_token_id not in tokenizer(rule.rule)["input_ids"], rule.rule
    assert tokenizer.unk_token_id in tokenizer("A unicorn is visible.")["input_ids"]


@pytest.mark.parametrize(
    ("text", "there", "relevant"),
    [
        ("A child touches a kitchen knife or an axe.", ("child", "axe"), True),
        ("A child touches a kitchen knife or an axe.", ("child", "dagger"), False),
        ("A child is visible and a dog is visible.", ("dog",), False),
        ("There are at least two dogs.", ("dog",), True),
        ("A dog is left of an animal.", ("dog",), True),
        ("A kitchen knife or a dog is visible.", ("dog",), True),
    ],
)
def test_text_is_relevant_if_all_its_objects_are_present(
    text: str, there: tuple[str, ...], relevant: bool
) -> None:
    written = Text(text, about(parse(text)))
    assert written.relevant({NUMBER[name] for name in there}) is relevant
    table = clip.relevance(_present(there), [written, Text("A dog", (OBJECTS[NUMBER["dog"]].classes,))])
    assert table.tolist() == [[relevant, "dog" in there]]


def _present(names: tuple[str, ...]) -> torch.Tensor:
    row = torch.zeros(1, CLASSES, dtype=torch.bool)
    row[0, [NUMBER[name] for name in names]] = True
    return row


def test_evaluation_questions_cover_several_statement_types() -> None:
    questions = draw_questions(random.Random(0), 60)
    assert len(questions) == 60
    assert all(question.text.about == about(question.statement) for question in questions)
    assert len({type(question.statement) for question in questions}) >= 5


def test_threshold_is_the_highest_that_keeps_the_share() -> None:
    cosines = np.array([[0.9, 0.1], [0.5, 0.2], [0.3, 0.35]])
    broken = np.array([[True, False], [True, False], [True, False]])
    pairs = Pairs(cosines, broken, ~broken, 0)
    assert pairs.choose(keep=1.0) == pytest.approx(0.29)
    assert pairs.choose(keep=0.6) == pytest.approx(0.49)
    assert pairs.at(0.3) == {
        "threshold": 0.3, "broken, kept": 66.7, "irrelevant, dropped": 66.7, "all, dropped": 50.0,
    }  # fmt: skip


def test_average_precision_equals_hand_computed_value() -> None:
    tally = Tally([(0.9, True), (0.8, False), (0.7, True), (0.2, False)], there=3)
    assert tally.average_precision == pytest.approx((1 + 2 / 3) / 3)
    assert tally.above(0.75) == (1, 2)
    assert Tally([], there=2).average_precision == 0
    box = detecting.Box(0, 0, 10, 10, 0.5, "dog")
    assert overlap(box, (5, 0, 15, 10)) == pytest.approx(1 / 3)
