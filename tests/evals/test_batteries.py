"""Batteries without running any: the file, the cells, what determines a cell, the rows of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.benchmarks import BENCHMARKS, choose_protocol, open_set
from jurat.evals.batteries.battery_file import Battery, read_battery
from jurat.evals.batteries.cells import Cell, Facts, cells_of, content_of, digest_of

ROOT = Path(__file__).parents[2]


def battery(**part: object) -> Battery:
    return Battery.model_validate({"name": "x", **part})


def determinants(**part: object) -> dict[str, object]:
    (cell,) = cells_of(battery(**{"models": ["null"], "controls": [], **part}))
    return Facts().determinants(cell)


def test_example_has_every_set_of_pictograms_and_controls_for_each():
    cells = cells_of(read_battery(ROOT / "examples/battery.yaml"))
    drawn = {entry.name for entry in BENCHMARKS if entry.card.drawing is not None}
    assert {cell.entry.set for cell in cells} == drawn
    for name in drawn:
        models = {cell.model.model for cell in cells if cell.entry.set == name}
        controls = {"scripted/yes", "scripted/no"}, {"scripted/refuse", "scripted/comply"}
        assert any(models > each for each in controls)


def test_every_set_meets_every_model_and_protocol_model_by_model():
    cells = cells_of(
        battery(
            sets=["pictogram-memes", {"set": "pictogram-typographic", "protocols": ["default", "text_only"]}],
            models=["bundled", {"model": "openai/a", "base_url": "http://x/v1"}],
        )
    )
    assert [(cell.entry.set, cell.protocol, cell.model.model) for cell in cells[:4]] == [
        ("pictogram-memes", None, "bundled"),
        ("pictogram-typographic", "default", "bundled"),
        ("pictogram-typographic", "text_only", "bundled"),
        ("pictogram-memes", None, "openai/a"),
    ]
    assert [cell.model.model for cell in cells[::3]] == [
        "bundled", "openai/a", "scripted/refuse", "scripted/comply",
    ]  # fmt: skip
    assert cells[3].model.options == {"base_url": "http://x/v1"}


def test_models_named_twice_and_as_controls_stand_once():
    part = battery(sets=["pictogram-memes"], models=["scripted/refuse"]).parts[0]
    assert [entry.model for entry in part.all_models] == ["scripted/refuse", "scripted/comply"]


BASE = {"sets": [{"set": "pictogram-typographic", "limit": 3}]}


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"set": "pictogram-typographic", "limit": 2}, {"samples", "content", "limit"}),
        ({"set": "pictogram-typographic", "limit": 3, "seed": 1}, {"content", "seed"}),
        ({"set": "pictogram-typographic", "limit": 3, "epochs": 2}, {"replies a sample"}),
        ({"set": "pictogram-typographic", "limit": 3, "protocols": ["text_only"]}, {"content", "protocol"}),
    ],
)
def test_what_determines_replies_is_in_the_digest_of_a_cell(changed, names):
    before, after = determinants(**BASE), determinants(sets=[changed])
    assert {name for name in before if before[name] != after[name]} >= names - {"content"}
    assert digest_of(before) != digest_of(after)


@pytest.mark.parametrize(
    ("model", "is_same"),
    [
        ({"model": "null", "max_batch": 2}, True),
        ({"model": "null?seed=4"}, False),
    ],
)
def test_options_that_change_no_reply_are_not_in_the_digest(model, is_same):
    same = digest_of(determinants(**BASE)) == digest_of(determinants(**BASE, models=[model]))
    assert same is is_same


def test_content_is_of_images_texts_and_expectations():
    copy = open_set("pictogram-typographic")
    protocol = choose_protocol(copy.card)
    first, second, *_ = copy.samples()
    memes, others = (next(open_set(f"pictogram-memes?seed={seed}").samples()) for seed in (0, 1))
    assert memes.item.turns == others.item.turns
    assert content_of([memes], protocol) != content_of([others], protocol)
    digests = [content_of(some, protocol) for some in ([first], [second], [first, second], [second, first])]
    assert len(set(digests)) == 4
    assert content_of([first], protocol) == digests[0]


def test_scorers_of_a_set_go_before_those_of_the_battery_and_the_card():
    def scorers(**part: object) -> tuple[str, ...]:
        (cell,) = cells_of(battery(**{"models": ["null"], "controls": [], **part}))
        assert isinstance(cell, Cell)
        return cell.scorers

    name = "pictogram-memes"
    assert scorers(sets=[name]) == ("yes-no?rule=first",)
    assert scorers(sets=[name], scorers=["text"]) == ("text",)
    assert scorers(sets=[{"set": name, "scorers": ["options"]}], scorers=["text"]) == ("options",)
