"""statements.json, the statement forms that bundled models accept, against the committed measurements."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from jurat.models.bundled.model import NAIVE, WEIGHTS
from jurat.models.bundled.statement_language import STATEMENTS, Language
from jurat.pictograms.statements import TEMPLATES
from training.mllm.statement_forms import VARIANTS

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "results" / "statement-forms.json"
FOLDERS = {"bundled": WEIGHTS, "naive": NAIVE}


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "perf"))
    try:
        import statement_forms

        return statement_forms
    finally:
        sys.path.remove(str(ROOT / "perf"))


@pytest.fixture(scope="module")
def rows():
    return json.loads(MEASURED.read_text())["rows"]


@pytest.mark.parametrize("model", FOLDERS)
def test_statements_json_equals_the_script_output(model, rows, script, tmp_path) -> None:
    from training.mllm.statement_forms import language

    language(script.accepted(rows, model)).save(tmp_path)
    assert (FOLDERS[model] / STATEMENTS).read_text() == (tmp_path / STATEMENTS).read_text()


@pytest.mark.parametrize("model", FOLDERS)
def test_every_accepted_form_was_95_percent_right(model, rows) -> None:
    language = Language.load(FOLDERS[model])
    assert language is not None
    asked = {
        (kind, template, variant)
        for kind, templates in language.forms.items()
        for template, variants in templates.items()
        for variant in variants
    }
    there = [row for row in rows if row["model"] == model and row["where"] == "there"]
    measured = {(row["kind"], row["form"], row["variant"]): row for row in there}
    for form in asked:
        row = measured[form]
        right = sum(row[renderer]["judged"][0] for renderer in ("own", "independent"))
        n = sum(row[renderer]["n"] for renderer in ("own", "independent"))
        assert n >= 100 and right >= 0.95 * n, form
    assert {("visible", "{a} is visible.", "one"), ("touches", "{a} touches {b}.", "one")} <= asked


def test_unmeasured_forms_are_refused(rows) -> None:
    for model, folder in FOLDERS.items():
        measured = {(row["kind"], row["form"], row["variant"]) for row in rows if row["model"] == model}
        language = Language.load(folder)
        assert language is not None and language.forms.keys() == TEMPLATES.keys()
        for kind, templates in language.forms.items():
            assert templates.keys() == set(TEMPLATES[kind])
            for template, variants in templates.items():
                assert set(variants) <= set(VARIANTS[kind])
                assert all((kind, template, variant) in measured for variant in variants)


def test_negated_statements_were_answered_wrongly(rows) -> None:
    """This is why negated forms are refused: a model that read them correctly would accept them."""
    for row in rows:
        if row["where"] == "outside" and row["form"] == "no {n} is visible.":
            assert all(
                row[renderer]["alone"][0] < 0.1 * row[renderer]["n"] for renderer in ("own", "independent")
            )
