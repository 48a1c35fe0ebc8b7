"""`explain()` of a local model reports its path, checks and fallbacks."""

from __future__ import annotations

from jurat.models.bundled.model import BundledModel
from jurat.models.hf.diagnosis import Diagnosable
from jurat.models.hf.model import LocalModel
from jurat.models.hf.scoring import Scorer


def test_packed_model_reports_its_path_and_checks(llava: LocalModel) -> None:
    explained = llava.capability(Diagnosable)
    assert explained is not None
    told = explained.explain()
    assert told[0] == ("path", "packed: the prefix and all questions in one forward pass")
    lines = dict(told)
    assert lines["layers"] == "3 with full attention"
    assert lines["positions"] == "one number a token"
    assert lines["attention"].startswith("sdpa; of a pack in blocks")
    assert lines["masks"] == "one for all layers"
    assert [how for what, how in told if what == "answers"] == ["yes: 'Yes' 'yes'", "no: 'No'"]
    begun = [how for what, how in told if what == "begins"]
    assert [how.partition(":")[0] for how in begun] == ["with an image", "without an image"]
    assert all("Yes and No have 0." in how and how.count("'") >= 6 for how in begun)
    checked = [how for what, how in told if what == "checked"]
    for form in ("with images", "without images"):
        assert any(line.startswith(f"{form}, one item: packed and alone differ by ") for line in checked)


def test_fallback_is_reported_with_its_reason(llava: LocalModel, monkeypatch) -> None:
    slow = Scorer(llava.network, llava.answers["yes"], llava.answers["no"])
    slow.reasons["packed"] = "a packed answer differed from a separate one by 0.3 in log-odds"
    monkeypatch.setattr(llava, "scorer", slow)
    told = llava.explain()
    assert told[0][1].startswith("cached: the prefix once")
    assert ("not packed", slow.reasons["packed"]) in told


def test_bundled_model_is_diagnosable(bundled: BundledModel) -> None:
    explained = bundled.capability(Diagnosable)
    assert explained is not None
    assert explained.explain()[0][0] == "path"
