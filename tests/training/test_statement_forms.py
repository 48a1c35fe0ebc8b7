"""statements.json, the statement forms that bundled models accept, against the committed measurements."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jurat.models.bundled.model import NAIVE, WEIGHTS
from jurat.models.bundled.statement_language import STATEMENTS, Language
from jurat.pictograms.statements import TEMPLATES
from training.mllm.statement_forms import VARIANTS, language, write_forms

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "results" / "statement-forms.json"
FOLDERS = {"bundled": WEIGHTS, "naive": NAIVE}


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "perf"))  # also for the processes that the script starts
    try:
        import statement_forms

        yield statement_forms
    finally:
        sys.path.remove(str(ROOT / "perf"))


@pytest.fixture(scope="module")
def rows():
    return json.loads(MEASURED.read_text())["rows"]


@pytest.mark.parametrize("model", FOLDERS)
def test_statements_json_equals_the_script_output(model, rows, script, tmp_path) -> None:
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


def test_naive_answers_the_negations_that_it_refuses_wrongly(rows) -> None:
    wanted = ("naive", "not visible", "there")
    asked = [row for row in rows if (row["model"], row["kind"], row["where"]) == wanted]
    for renderer in ("own", "independent"):
        n = sum(row[renderer]["n"] for row in asked)
        assert n > 1000 and sum(row[renderer]["alone"][0] for row in asked) < 0.1 * n


def test_forms_of_an_earlier_model_go_before_the_new_one_is_measured(tmp_path: Path) -> None:
    earlier = Language.load(WEIGHTS)
    assert earlier is not None
    earlier.save(tmp_path)
    write_forms(tmp_path, measure=False)
    language = Language.load(tmp_path)
    assert language is not None and language.refusal("A dog is visible.") is not None
    assert not any(variants for templates in language.forms.values() for variants in templates.values())


def test_forms_that_cannot_be_measured_are_an_error_and_none_are_left(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        write_forms(tmp_path)  # there are no weights
    language = Language.load(tmp_path)
    assert language is not None and language.refusal("A dog is visible.") is not None


@pytest.mark.slow
def test_script_writes_the_forms_of_the_model_in_a_folder(script, tmp_path: Path) -> None:
    model, table = tmp_path / "model", tmp_path / "forms.json"
    model.mkdir()
    for file in WEIGHTS.iterdir():
        if file.name != STATEMENTS:
            (model / file.name).symlink_to(file)
    script.main(["--folder", str(model), "--n", "2", "--json", str(table)])
    rows = json.loads(table.read_text())["rows"]
    assert {row["model"] for row in rows} == {str(model)}
    language(script.accepted(rows, str(model))).save(tmp_path)
    assert (model / STATEMENTS).read_text() == (tmp_path / STATEMENTS).read_text()
