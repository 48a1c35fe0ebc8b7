"""Guard models in their official classes with tiny random weights; what becomes of their answers."""

from __future__ import annotations

import json
import math

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, Llama4ForConditionalGeneration, ShieldGemma2ForImageClassification
from typer.testing import CliRunner

from jurat.bench.cost import Spending
from jurat.bench.guards.chat import WrittenReply
from jurat.bench.guards.interface import GuardAnswer, prediction_of, shared_out
from jurat.bench.guards.llama_guard_4 import LlamaGuard4
from jurat.bench.guards.llavaguard import LlavaGuard
from jurat.bench.guards.registry import GuardChoice
from jurat.bench.guards.taxonomy import Taxonomy, read_taxonomies
from jurat.cli import app
from jurat.constitution import parse_constitution
from jurat.errors import JuratError
from jurat.metrics import UNSURE
from jurat.models.hf.load_model import load

from . import tiny_guards as tiny

LAW = """
name: colours
rules:
  - {id: red, rule: Nothing red may be visible., clauses: [The picture is red.]}
  - {id: big, rule: Nothing big may be visible., clauses: [The picture is big.]}
  - {id: loud, rule: Nothing loud may be visible., clauses: [The picture is loud.]}
"""
RED, BLUE = (Image.new("RGB", (40, 40), colour) for colour in ("red", "blue"))
UNSAFE_JSON = '{\n    "rating": "Unsafe",\n    "category": "O6: Weapons",\n    "rationale": "seen"\n}'


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return tiny.llama_guard_4(tmp_path_factory.mktemp("llama"), "\n\nunsafe\nS9,S1")


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return tiny.llavaguard(tmp_path_factory.mktemp("llava"), UNSAFE_JSON)


@pytest.fixture(scope="module")
def shield(tmp_path_factory):
    return tiny.shieldgemma2(tmp_path_factory.mktemp("shield"))


def test_llama_guards_score_is_that_of_its_official_class(llama):
    guard = LlamaGuard4("tiny", load(str(llama), device="cpu"))
    found = guard.look([RED, BLUE])
    network = Llama4ForConditionalGeneration.from_pretrained(llama, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(llama)
    for image, answer in zip((RED, BLUE), found, strict=True):
        assert answer.unsafe and answer.flagged == {"S1", "S9"}
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image", "image": image}]}], add_generation_prompt=True,
            tokenize=True, return_dict=True, return_tensors="pt",
        )  # fmt: skip
        # The two newlines of the reply, then the letter that tells "safe" from "unsafe".
        newline, u, s = (processor.tokenizer(t, add_special_tokens=False)["input_ids"][0] for t in "\nus")
        more = torch.tensor([[newline, newline]])
        with torch.inference_mode():
            logits = network(
                input_ids=torch.cat([inputs["input_ids"], more], 1),
                pixel_values=inputs["pixel_values"].float(),
            ).logits[0, -1]
        expected = logits[[u, s]].softmax(0)[0].item()
        assert answer.score == pytest.approx(expected, abs=1e-4)
        assert answer.categories["S9"] == answer.score and answer.categories["S2"] == 1 - answer.score
        assert answer.spending.images == 1 and answer.spending.generated_tokens == 15
    assert found[0].score != found[1].score


def test_llavaguard_reads_its_json_and_the_policy(llava):
    loaded = load(str(llava), device="cpu")
    guard = LlavaGuard("tiny", loaded, "Short policy.")
    (answer,) = guard.look([RED])
    assert answer.unsafe and answer.flagged == {"O6"} and 0 < answer.score < 1
    other = LlavaGuard("tiny", loaded, "A longer policy with more words.")
    (changed,) = other.look([RED])
    assert changed.spending.question_tokens == answer.spending.question_tokens + len(
        "A longer policy with more words."
    ) - len("Short policy.")
    assert changed.score != answer.score


def test_shieldgemmas_scores_are_those_of_its_official_class(shield):
    guard = GuardChoice.parse(f"shieldgemma2={shield}").open(parse_constitution(LAW))
    assert list(guard.categories) == ["dangerous", "violence"]
    network = ShieldGemma2ForImageClassification.from_pretrained(shield, dtype=torch.float32).eval()
    inputs = AutoProcessor.from_pretrained(shield)(images=[RED, BLUE], return_tensors="pt")
    with torch.inference_mode():
        expected = network(**inputs).probabilities[:, 0].tolist()
    found = guard.look([RED, BLUE])
    assert [p for answer in found for p in answer.categories.values()] == pytest.approx(expected, abs=1e-4)
    for answer in found:
        assert answer.flagged == {name for name, p in answer.categories.items() if p > 0.5}
        assert answer.unsafe == bool(answer.flagged) and answer.score == max(answer.categories.values())
        assert answer.spending.images == 2


def test_shieldgemma_is_asked_about_the_users_rules(shield):
    guard = GuardChoice.parse(f"shieldgemma2-rules={shield}").open(parse_constitution(LAW))
    (answer,) = guard.look([RED])
    network = ShieldGemma2ForImageClassification.from_pretrained(shield, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(shield)
    policies = {"big": "Nothing big may be visible."}
    inputs = processor(images=[RED], policies=["big"], custom_policies=policies, return_tensors="pt")
    with torch.inference_mode():
        expected = network(**inputs).probabilities[0, 0].item()
    assert list(answer.categories) == ["red", "big", "loud"]
    assert answer.categories["big"] == pytest.approx(expected, abs=1e-4)


# --- replies --------------------------------------------------------------------------------------


class Words:
    """A tokenizer of letters."""

    def __call__(self, text, add_special_tokens):
        return {"input_ids": [ord(letter) for letter in text]}


class Parts:
    network, revision = None, "1"

    def __init__(self):
        self.processor = type("Processor", (), {"tokenizer": Words()})()
        self.full_revision = "1"


def reply(text: str, chance: float = 0.8, at: int = 0) -> WrittenReply:
    """A reply whose token at a place was drawn from the chance of u (or U) against s (or S)."""
    logits = torch.zeros(len(text), 256)
    if at < len(text):
        logits[at, [ord("u"), ord("U")]] = math.log(chance / (1 - chance))
    return WrittenReply(text, tuple(map(ord, text)), logits, Spending(1, 5, len(text)))


@pytest.mark.parametrize(
    ("text", "unsafe", "score", "flagged"),
    [
        ("unsafe\nS1", True, 0.8, {"S1"}),
        ("unsafe\nS10,S2", True, 0.8, {"S10", "S2"}),
        ("safe", False, 0.8, set()),
        ("safe\nS1", False, 0.8, set()),
        ("Safe", False, math.nan, set()),
        ("unsafe", True, 0.8, set()),
        ("unsafely said", None, math.nan, set()),
        ("", None, math.nan, set()),
        ("I cannot judge it.", None, math.nan, set()),
    ],
)
def test_replies_of_llama_guard(text, unsafe, score, flagged):
    found = LlamaGuard4("x", Parts()).read(reply(text))  # pyright: ignore[reportArgumentType]
    assert (found.unsafe, found.flagged) == (unsafe, flagged)
    assert found.score == pytest.approx(score, nan_ok=True)
    assert found.reason == (None if unsafe is not None else "unparsed")


@pytest.mark.parametrize(
    ("text", "unsafe", "score", "flagged"),
    [
        ('{"rating": "Unsafe", "category": "O2: Violence", "rationale": "x"}', True, 0.8, {"O2"}),
        ('{"rating": "Safe", "category": "O2: Violence"}', False, 0.8, set()),
        ('{"rating": "Unsafe", "category": "NA: None applying"}', True, 0.8, set()),
        ('{"rating": "Unsafe"', None, math.nan, set()),
        ('{"rating": "Perhaps"}', None, math.nan, set()),
        ("Unsafe", None, math.nan, set()),
    ],
)
def test_replies_of_llavaguard(text, unsafe, score, flagged):
    guard = LlavaGuard("x", Parts(), "policy")  # pyright: ignore[reportArgumentType]
    found = guard.read(reply(text, at=len('{"rating": "')))
    assert (found.unsafe, found.flagged) == (unsafe, flagged)
    assert found.score == pytest.approx(score, nan_ok=True)


def test_one_image_that_fails_is_an_error_of_its_own(llama):
    class Broken:
        def convert(self, mode):
            raise ValueError("no picture")

    guard = LlamaGuard4("tiny", load(str(llama), device="cpu"))
    first, second = guard.look([Broken(), BLUE])  # pyright: ignore[reportArgumentType]
    assert (first.unsafe, first.reason) == (None, "error") and second.unsafe
    assert prediction_of(first, {"red": ["S1"]}).outcome == UNSURE


def test_unsafe_without_a_category_decides_no_rule():
    answer = GuardAnswer(True, 0.9, shared_out(["A", "B"], frozenset(), True, 0.9))
    found = prediction_of(answer, {"red": ["A"], "big": ["B"]})
    assert found.outcome == UNSURE and set(found.rules.values()) == {UNSURE}
    assert math.isnan(found.score) and found.reason == "no category"
    assert prediction_of(answer, None).outcome == 1


# --- taxonomies ------------------------------------------------------------------------------------


def test_a_rule_is_broken_by_one_of_its_categories():
    answer = GuardAnswer(True, 0.9, shared_out(["A", "B", "C"], frozenset("A"), True, 0.9), frozenset("A"))
    found = prediction_of(answer, {"red": ["A", "B"], "big": ["C"]})
    assert found.rules == {"red": 1, "big": 0} and found.outcome == 1
    assert found.scores == {"red": 0.9, "big": pytest.approx(0.1)}
    only = prediction_of(answer, {"big": ["C"]})
    assert only.outcome == 0  # what it flagged stands for no rule
    assert prediction_of(answer, None).rules == {} and prediction_of(answer, None).score == 0.9


def test_a_map_is_read_and_checked(tmp_path):
    (tmp_path / "policy.txt").write_text("O1: ...")
    path = tmp_path / "map.yaml"
    path.write_text(
        "llama-guard-4: {categories: {S1: red, S9: [red, big], S2: }}\n"
        "llavaguard: {policy: policy.txt, categories: {O6: big}}\n"
    )
    found = read_taxonomies(path, ["llama-guard-4", "llavaguard"])
    assert found["llama-guard-4"].categories_of(["red", "big", "loud"]) == {
        "red": ["S1", "S9"],
        "big": ["S9"],
    }
    assert found["llavaguard"].policy == "O1: ..."
    with pytest.raises(JuratError, match=r"map.yaml: there is no guard 'llavaguard'"):
        read_taxonomies(path, ["llama-guard-4"])
    with pytest.raises(JuratError, match="names a category 'S1' that it does not have"):
        found["llama-guard-4"].check("x", ["S2", "S9"], ["red", "big"])
    with pytest.raises(JuratError, match="names a rule 'big' that the constitution does not have"):
        found["llama-guard-4"].check("x", ["S1", "S2", "S9"], ["red"])
    (tmp_path / "policy.txt").unlink()
    with pytest.raises(JuratError, match=r"the policy policy\.txt cannot be read"):
        read_taxonomies(path, ["llama-guard-4", "llavaguard"])


def test_llavaguard_without_a_policy_is_refused(llava):
    choice = GuardChoice.parse(f"llavaguard={llava}")
    with pytest.raises(JuratError, match="asked with its safety policy, and none is named"):
        choice.open(parse_constitution(LAW))
    assert Taxonomy({"O1": ["red"]}).digest != Taxonomy({"O1": ["big"]}).digest


def test_guard_rows_stand_beside_the_judge(llama, tmp_path):
    """A guard that flags every image, mapped onto one rule of three."""
    (tmp_path / "pictures").mkdir()
    for name, image in (("a", RED), ("b", BLUE), ("c", Image.new("RGB", (40, 40), "green"))):
        image.save(tmp_path / "pictures" / f"{name}.png")
    (tmp_path / "labels.csv").write_text("file,broken\na.png,red\nb.png,loud\nc.png,\n")
    (tmp_path / "law.yaml").write_text(LAW)
    (tmp_path / "map.yaml").write_text("llama-guard-4: {categories: {S9: [red], S3: [red]}}")
    command = [
        "bench", "labelled", "--images", tmp_path / "pictures", "--labels", tmp_path / "labels.csv",
        "-c", tmp_path / "law.yaml", "-m", "null", "-p", "direct", "--guard", f"llama-guard-4={llama}",
        "--guard-map", tmp_path / "map.yaml", "--device", "cpu", "--out", tmp_path / "out",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [*map(str, command)])
    assert done.exit_code == 0, done.output
    data = json.loads((tmp_path / "out" / "labelled.json").read_text())
    row = next(row for row in data["rows"] if row["guard"])
    assert (row["method"], row["covers"]) == ("llama-guard-4", ["red"])
    assert row["item"]["n"] == 3 and row["item"]["positives"] == 1
    assert row["item"]["f1"]["value"] == pytest.approx(0.5)  # one hit, two false alarms
    told = " ".join(done.output.split())
    assert "covers 1 of 3 rules. None of its categories stands for big, loud; images that break" in told
    assert "which it cannot find: 1." in told
    assert "categories that stand for no rule, and do not count: S1 (violent crimes)" in told
    gaps = [e for e in data["paired"] if e["b"]["method"] == "llama-guard-4"]
    assert {e["rules"] for e in gaps} == {1}
    again = CliRunner().invoke(app, [*map(str, command)])
    assert "llama-guard-4: 3 items" in done.output and "llama-guard-4: 3 items" not in again.output
    unused = CliRunner().invoke(app, [*map(str, [*command[:12], *command[14:]])])
    assert unused.exit_code == 2 and "maps llama-guard-4, which no --guard names" in unused.output
