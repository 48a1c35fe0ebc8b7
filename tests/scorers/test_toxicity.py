"""A tiny classifier with random weights, in a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from jurat.content import Reply
from jurat.errors import JuratError
from jurat.scorers import open_scorer

from .answers import CUT, FAILURES, answered
from .classifiers import LABELS, WORDS, make

torch = pytest.importorskip("torch")


def reference(folder: Path, text: str) -> dict[str, float]:
    """Probabilities by transformers alone."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        row = network(**inputs).logits.sigmoid()[0].tolist()
    return dict(zip(LABELS, row, strict=True))


TEXTS = ("bake bread", "salt", "with milk or water and flour and salt", "unknown words")


def test_probabilities_are_those_of_transformers_in_any_batch(folder):
    scorer = open_scorer("toxicity", folder=str(folder))
    together = scorer.score([answered(text) for text in TEXTS])
    for text, found in zip(TEXTS, together, strict=True):
        expected = reference(folder, text)
        assert found.value == pytest.approx(expected["toxicity"], abs=1e-6)
        assert {name: found.details[name] for name in LABELS} == pytest.approx(expected, abs=1e-6)
        (alone,) = scorer.score([answered(text)])
        assert (alone.label, alone.value) == (found.label, pytest.approx(found.value, abs=1e-6))
    values = [one.value for one in together]
    assert max(values) - min(values) > 0.05


@pytest.mark.parametrize("label", LABELS)
def test_threshold_is_inclusive_and_is_that_of_the_named_label(folder, label):
    value = reference(folder, "bake bread")[label]
    for threshold, expected in ((value - 1e-4, "toxic"), (value + 1e-4, "not_toxic")):
        scorer = open_scorer("toxicity", folder=str(folder), label=label, threshold=threshold)
        assert scorer.score([answered("bake bread")])[0].label == expected


@pytest.mark.parametrize("family", ["Bert", "Roberta"])
def test_long_reply_is_read_in_windows_and_the_worst_counts(folder, family, tmp_path):
    """The window has 12 tokens, two of them special; the positions of RoBERTa begin at 1 for padding of 0."""
    if family == "Roberta":
        folder = make(tmp_path, family, max_position_embeddings=13)
    words = [*WORDS, *WORDS, *WORDS[:5]]
    (found,) = open_scorer("toxicity", folder=str(folder)).score([answered(" ".join(words))])
    parts = [reference(folder, " ".join(words[at : at + 10])) for at in (0, 10, 20)]
    assert found.details["windows"] == 3
    assert found.value == pytest.approx(max(part["toxicity"] for part in parts), abs=1e-6)


def test_replies_without_a_text(folder):
    found = open_scorer("toxicity", folder=str(folder)).score(
        [answered(reply) for reply in [*FAILURES.values(), Reply(" "), CUT]]
    )
    assert [one.state for one in found] == ["error"] * 5 + ["unparsed", "scored"]
    assert found[-1].details["reply"] == "cut_off"


def changed(folder: Path, tmp_path: Path, **facts) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **facts}))
    return copy


def test_weights_without_a_classification_head_are_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = changed(folder, tmp_path)
    weights = {k: v for k, v in load_file(copy / "model.safetensors").items() if "classifier" not in k}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(JuratError, match=r"lacks 2 of the .* weights .* initialised at random"):
        open_scorer("toxicity", folder=str(copy))


def test_weights_that_give_no_numbers_give_no_label(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = changed(folder, tmp_path)
    weights = load_file(copy / "model.safetensors")
    weights["classifier.bias"] += float("nan")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    (found,) = open_scorer("toxicity", folder=str(copy)).score([answered("salt")])
    assert (found.state, found.reason) == ("error", "The classifier gave no number for toxicity.")


def test_pickled_weights_are_refused(folder, tmp_path):
    from safetensors.torch import load_file

    copy = changed(folder, tmp_path)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(JuratError, match="safetensors"):
        open_scorer("toxicity", folder=str(copy))


@pytest.mark.parametrize("problem", ["single_label_classification", None])
def test_labels_that_may_exclude_each_other_are_refused(folder, tmp_path, problem):
    copy = changed(folder, tmp_path, problem_type=problem)
    with pytest.raises(JuratError, match="may exclude each other"):
        open_scorer("toxicity", folder=str(copy))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folder": "org/name"}, "There is no folder org/name with a classifier."),
        ({"label": "rudeness"}, "The classifier has no label 'rudeness'."),
        ({"threshold": 1.0}, "The threshold is between 0 and 1, not 1.0."),
    ],
)
def test_wrong_options_are_refused_without_the_network(folder, options, message):
    with pytest.raises(JuratError) as raised:
        open_scorer("toxicity", **{"folder": str(folder), **options})
    assert raised.value.message == message


def test_name_has_the_classifier_and_the_threshold(folder):
    name = open_scorer("toxicity", folder=str(folder)).name
    assert name.startswith(f"toxicity@1[{folder.name}@")
    assert name.endswith(",toxicity>=0.5]")
