"""Models that scorers open are closed, after an error too; models that they are given stay open."""

from __future__ import annotations

import sys

import pytest

from jurat.errors import JuratError
from jurat.judge import Judge
from jurat.scorers import open_scorer

from .answers import answered
from .test_constitution_judge import PICTURE, SALT, law

SOURCE = """
from jurat.models import Model

closed = []

class Acme(Model):
    revision, dtype = "1", "none"
    supported_settings = frozenset({"max_tokens"})

    def __init__(self, name):
        self.name = name
        self.can_chat = not name.endswith("closed-questions")

    def close(self):
        closed.append(self.name)

def open_acme(spec):
    return Acme(spec.name)
"""


@pytest.fixture
def closed(tmp_path, monkeypatch) -> list[str]:
    """Installs models `acme/...`; holds the names of those that were closed."""
    info = tmp_path / "acme_judges-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-judges\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[jurat.models]\nacme = acme_judges:open_acme\n")
    (tmp_path / "acme_judges.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_judges", raising=False)
    import acme_judges  # pyright: ignore[reportMissingImports]

    return acme_judges.closed


@pytest.mark.parametrize(
    ("name", "options", "opened"),
    [
        ("refusal", {"model": "acme/a"}, ["acme/a"]),
        ("jury", {"model": ["acme/a", "acme/b"], "jurors": 3}, ["acme/b", "acme/a"]),
        ("constitution", {"constitution": law(SALT), "model": "acme/a", "preset": "quick"}, ["acme/a"]),
    ],
)
def test_scorer_closes_what_it_opened(name, options, opened, closed):
    scorer = open_scorer(name, **options)
    assert closed == []
    scorer.close()
    scorer.close()
    assert closed == opened


@pytest.mark.parametrize(
    ("name", "options", "opened"),
    [
        ("refusal", {"model": "acme/closed-questions"}, ["acme/closed-questions"]),
        ("jury", {"model": ["acme/a", "acme/closed-questions"]}, ["acme/closed-questions", "acme/a"]),
        ("jury", {"model": ["acme/a", "nul"]}, ["acme/a"]),
        ("constitution", {"constitution": law(PICTURE), "model": "acme/a", "preset": "quick"}, ["acme/a"]),
        ("constitution", {"constitution": law(SALT), "model": "acme/a", "preset": "clue"}, ["acme/a"]),
    ],
)
def test_scorer_that_cannot_be_opened_closes_what_it_opened(name, options, opened, closed):
    with pytest.raises(JuratError):
        open_scorer(name, **options)
    assert closed == opened


def test_models_that_were_open_stay_open(closed):
    import acme_judges  # pyright: ignore[reportMissingImports]

    model = acme_judges.open_acme(type("Spec", (), {"name": "acme/mine"}))
    open_scorer("refusal", model=model).close()
    open_scorer("constitution", constitution=law(SALT), model=model, preset="quick").close()
    with Judge(law(SALT), model, "quick"):
        pass
    assert closed == []


def test_judge_closes_the_model_that_it_opened(closed):
    with Judge(law(SALT), "acme/a", "quick"):
        assert closed == []
    assert closed == ["acme/a"]


def test_scorers_without_a_model_can_be_closed():
    scorer = open_scorer("yes-no")
    scorer.close()
    assert scorer.score([answered("Yes")])[0].label == "yes"


def test_closed_classifier_says_so(folder):
    scorer = open_scorer("toxicity", folder=str(folder))
    scorer.close()
    (found,) = scorer.score([answered("x")])
    assert (found.state, found.label) == ("error", None)
    assert f"ModelError: The classifier {folder.name!r} is closed." in found.reason
