"""Caption metrics against values that the COCO toolkit's own scorers and sacrebleu gave.

The toolkit (github.com/tylin/coco-caption, converted by 2to3) was run once on these sentences, which were
written for it; they are their own tokens.
"""

from __future__ import annotations

import pytest
import sacrebleu

from jurat.metrics.captions import ngrams, rouge_l, tokens
from tests.metrics.named_values import columns, value_of

ANSWERS = [
    "a red ball lies on the green grass",
    "two dogs play in the snow near a tree",
    "a bowl of fresh bread on a wooden table",
    "a boat",
]
REFERENCES = [
    ["a red ball on green grass", "a ball that is red lies on the grass"],
    ["two dogs are playing in the snow", "dogs play near a tree in winter", "a pair of dogs in the snow"],
    ["a loaf of fresh bread on a table", "bread on a wooden table"],
    ["a small boat sails on the calm sea"],
]
ROWS = columns(answer=ANSWERS, references=REFERENCES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bleu4_coco", 0.4495465614986039),
        ("rouge_l_coco", 0.6938364082095939),
        ("cider_d_coco", 2.9998301109164234),
    ],
)
@pytest.mark.parametrize("how", ["ptb-like", "given"])
def test_values_equal_those_of_the_coco_toolkit(name, expected, how):
    assert value_of(name, ROWS, tokens=how).value == pytest.approx(expected, abs=1e-9)


def test_cider_depends_on_the_whole_set():
    assert value_of("cider_d_coco", ROWS[:3]).value == pytest.approx(3.806410352504926)  # of the toolkit
    one = value_of("cider_d_coco", ROWS[:1])
    assert one.value is None and "takes two rows" in one.reason


def test_bleu_of_sacrebleu_equals_the_library_with_its_signature():
    longest = max(map(len, REFERENCES))
    columns_of = [[r[i] if i < len(r) else None for r in REFERENCES] for i in range(longest)]
    found = value_of("bleu_sacrebleu", ROWS, draws=20)
    assert found.value == pytest.approx(sacrebleu.corpus_bleu(ANSWERS, columns_of).score)
    assert found.parts["signature"].startswith("nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert found.interval is not None


def test_rouge_l_by_hand():
    # 2 of 3 and of 4 words in common: P = 2/3, R = 1/2; (1 + 1.44) P R / (R + 1.44 P)
    p, r = 2 / 3, 1 / 2
    assert rouge_l(["a", "b", "c"], [["a", "x", "b", "y"]]) == pytest.approx(2.44 * p * r / (r + 1.44 * p))


def test_empty_answers_score_nothing_and_empty_references_are_left_out():
    rows = columns(answer=["", "a b c d e"], references=[["a b c d e"], ["?!"]])
    for name in ("bleu4_coco", "rouge_l_coco"):
        found = value_of(name, rows)
        assert (found.n, found.left_out) == (1, {"empty references": 1})
    assert value_of("rouge_l_coco", rows).value == 0.0
    assert value_of("bleu4_coco", rows).reason == "every answer is empty"


def test_tokens_split_contractions_and_drop_punctuation():
    said = "The dog doesn't like Anna's black-and-white cat (it can’t)... \"No!\" 3.5 m"
    assert tokens(said) == (
        [
            "the",
            "dog",
            "does",
            "n't",
            "like",
            "anna",
            "'s",
            "black-and-white",
            "cat",
            "-lrb-",
            "it",
            "ca",
            "n't",
            "-rrb-",
            "no",
            "3.5",
            "m",
        ]
    )
    assert tokens("A  b,c", "given") == ["A", "b,c"]


def test_identical_captions_score_the_most():
    rows = columns(answer=[r[0] for r in REFERENCES], references=[r[:1] for r in REFERENCES])
    assert value_of("bleu4_coco", rows).value == pytest.approx(1, abs=1e-8)
    assert value_of("rouge_l_coco", rows).value == pytest.approx(1)
    assert value_of("cider_d_coco", rows).value == pytest.approx(10)


def test_ngrams_are_counted_up_to_four():
    assert ngrams(["a", "b"]) == {("a",): 1, ("b",): 1, ("a", "b"): 1}
