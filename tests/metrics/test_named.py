"""The registry of metrics: descriptions are whole, options are checked, undefined is not available."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest

from jurat.errors import JuratError, MissingExtra
from jurat.metrics import METRICS, MetricValue, NamedMetric
from jurat.metrics.cells import BadCell, Labels, MissingCell, parse
from tests.metrics.named_values import columns, value_of

EVERY = list(METRICS)
WITH_LABELS = {"macro_f1": {"labels": ["a", "b"]}}


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_every_metric_is_described(metric):
    assert metric.formula and metric.source and metric.interval and metric.needs
    assert metric.evidence in ("authors", "paper", "third party", "recalled", "ours")
    assert metric.better in ("higher", "lower", "depends")
    assert len(metric.bounds) == 2 and metric.bounds[0] < metric.bounds[1]
    assert all(column.about for column in metric.needs)


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_metric_without_rows_is_not_available_with_a_reason(metric):
    for rows in ([], [{"state": "error", **{column.name: None for column in metric.needs}}]):
        found = metric.compute(rows, **WITH_LABELS.get(metric.name, {}))
        assert found.value is None and found.n == 0 and found.reason
        assert found.interval is None
        assert sum(found.left_out.values()) == len(rows)


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_missing_column_is_an_error_that_names_those_there_are(metric):
    needed = next(column.name for column in metric.needs if not column.optional)
    with pytest.raises(JuratError, match=r"There is no column .*: the rows have something") as raised:
        metric.compute([{"something": 1}], **WITH_LABELS.get(metric.name, {}))
    assert repr(needed) in raised.value.message


@pytest.mark.parametrize("metric", [m for m in EVERY if m.extra], ids=lambda metric: metric.name)
def test_missing_packages_name_the_extra(metric, monkeypatch):
    monkeypatch.setattr("jurat.registry.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=f"The metric '{metric.name}' needs packages") as raised:
        metric.compute([])
    assert 'pip install "jurat[eval]"' in str(raised.value)


def test_metrics_that_import_optional_packages_name_the_extra():
    import ast
    from pathlib import Path

    optional = {"sklearn", "statsmodels", "sacrebleu", "skimage"}
    for metric in EVERY:
        module, _, name = metric.factory.partition(":")
        tree = ast.parse(Path(import_module(module).__file__).read_text())
        (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
        used = {
            n.module.split(".")[0] for n in ast.walk(function) if isinstance(n, ast.ImportFrom) and n.module
        }
        assert not used & optional or metric.extra == "eval", metric.name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a", "a"]}, "two or more different"),
        ({"labels": ["a"]}, "two or more different"),
        ({"positive": "a"}, "positive label 'a' is not among the labels"),
        ({"columns": {"sucess": "label"}}, "reads no column 'sucess'"),
        ({"columns": {"success": "label"}}, "There is no column 'label': the rows have success"),
        ({"mode": "exact"}, "asr has no option 'mode'"),
        ({"draws": -1}, "draws must be 0, or 20 or more"),
        ({"draws": 19}, "draws must be 0, or 20 or more"),
        ({"level": 1.0}, "level between 0 and 1"),
        ({"seed": -1}, "The seed must be 0 or more"),
        ({"labels": ["a", " "]}, "A label is empty"),
    ],
)
def test_wrong_options_are_errors(options, message):
    with pytest.raises(JuratError, match=message):
        value_of("asr", columns(success=[1]), **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("asr@k", {"k": "two"}, "k must be of type int, not 'two'"),
        ("asr@k", {"k": 1.5}, "k must be of type int"),
        ("asr@k", {"k": True}, "k must be of type int"),
        ("toxicity_probability", {"threshold": "nan"}, "threshold must be of type float"),
        ("string_match", {"mode": "like"}, "mode must be one of exact, prefix, contains, not 'like'"),
        ("sri", {"labels": ["1", "2"]}, "sri takes no labels"),
    ],
)
def test_options_are_checked_by_type(name, options, message):
    with pytest.raises(JuratError, match=message):
        value_of(name, [], **options)


def test_unknown_metric_suggests_the_closest():
    with pytest.raises(JuratError, match="There is no metric 'acuracy'") as raised:
        METRICS.find("acuracy")
    assert raised.value.hint == "Did you mean 'accuracy'? See: jurat metrics"


def test_columns_can_have_other_names():
    rows = columns(label=["unsafe", "safe", "unsafe"])
    found = value_of("asr", rows, columns={"success": "label"}, labels=["unsafe", "safe"])
    assert found.value == pytest.approx(2 / 3)


def test_unknown_state_makes_a_row_unreadable():
    found = value_of("asr", columns(success=[1, 1], state=["scored", "skipped"]))
    assert found.problems[0].reason == "state: 'skipped' is none of scored, refused, unparsed, error"


def test_order_of_rows_and_unrelated_columns_do_not_change_a_value():
    rng = np.random.default_rng(2)
    rows = [
        {"truth": int(t), "score": float(s), "cluster": f"c{c}", "other": object()}
        for t, s, c in zip(rng.integers(0, 2, 40), rng.random(40), rng.integers(0, 25, 40), strict=True)
    ]
    for name in ("auroc", "auprc", "brier", "ece"):
        assert value_of(name, rows).value == pytest.approx(value_of(name, rows[::-1]).value)
    first, again = (value_of("auroc", rows, draws=30) for _ in range(2))
    assert first.interval == again.interval
    assert value_of("auroc", rows, draws=30, seed=1).interval != first.interval


def test_missing_scipy_leaves_the_value_without_an_interval(monkeypatch):
    monkeypatch.setattr("jurat.metrics.metric_rows.find_spec", lambda name: None)
    rows = columns(answer=["big b", "c"], answers=["b", "c"])
    found = value_of("token_f1", rows)
    assert found.value is not None and found.interval is None
    assert found.interval_method == (
        'none: it needs scipy, which is not installed: pip install "jurat[eval]"'
    )


def test_one_row_has_a_value_and_no_interval_of_a_mean():
    found = value_of("brier", columns(truth=[1], score=[0.4]))
    assert (found.value, found.interval) == (pytest.approx(0.36), None)
    assert found.interval_method == "none: there is one row or cluster"


def test_facts_hold_null_for_what_is_not_a_number():
    facts = MetricValue(math.nan, 0, parts={"a": math.inf, "b": 2}).facts()
    assert (facts["value"], facts["parts"], facts["interval"]) == (None, {"a": None, "b": 2}, None)


PLUG_IN = """
from jurat.metrics import Column, NamedMetric

def share(rows):
    return rows.rate(rows["won"])

def metric():
    return NamedMetric("wins", "share of wins", "acme_metric:share", formula="wins / rows", source="Acme",
                       evidence="authors", bounds=(0, 1), needs=(Column("won", "bit", "it was won"),))

def broken():
    return 3
"""


@pytest.fixture
def acme(tmp_path, monkeypatch) -> Callable[[], NamedMetric]:
    (tmp_path / "acme_metric.py").write_text(PLUG_IN)
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\nSummary: Metrics of Acme\n"
    )
    points = "[jurat.metrics]\nwins = acme_metric:metric\nbroken = acme_metric:broken\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda: METRICS.find("wins")


def test_third_party_adds_a_metric_by_an_entry_point(acme):
    found = acme().compute([{"won": 1}, {"won": "no"}])
    assert (found.value, found.n) == (0.5, 2)
    assert acme().described.formula == "wins / rows"
    with pytest.raises(JuratError, match="'broken' of acme returned something that is no NamedMetric"):
        METRICS.find("broken").compute([])


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("bit", True, 1),
        ("bit", 0.0, 0),
        ("bit", " YES ", 1),
        ("event", np.bool_(True), 1),
        ("number", "1e-3", 0.001),
        ("number", np.float32(0.5), 0.5),
        ("label", 2.0, "2"),
        ("label", " a ", "a"),
        ("key", 7, "7"),
        ("text", "", ""),
        ("texts", '["a", "b"]', ["a", "b"]),
        ("texts", "[sic] a text", ["[sic] a text"]),
        ("texts", ("a", 1), ["a", "1"]),
        ("numbers", "[0.5, 1]", [0.5, 1.0]),
        ("numbers", 0.25, [0.25]),
    ],
)
def test_cells_are_read_as_what_their_column_holds(kind, cell, value):
    assert parse(kind, cell, Labels()) == value


@pytest.mark.parametrize(
    ("kind", "cell", "error"),
    [
        ("bit", "2", BadCell),
        ("bit", "", MissingCell),
        ("event", [1], BadCell),
        ("number", "1_000", BadCell),
        ("number", "inf", BadCell),
        ("number", "0,5", BadCell),
        ("probability", -0.1, BadCell),
        ("label", float("nan"), BadCell),
        ("label", "nan", BadCell),
        ("key", None, MissingCell),
        ("text", {"a": 1}, BadCell),
        ("texts", [], MissingCell),
        ("numbers", [0.1, "x"], BadCell),
    ],
)
def test_cells_that_do_not_fit_are_not_guessed(kind, cell, error):
    with pytest.raises(BadCell) as raised:
        parse(kind, cell, Labels())
    assert type(raised.value) is error


def test_mean_of_equal_numbers_has_no_interval():
    """The numbers differ from their mean by rounding errors, which are no width."""
    for n in range(2, 12):
        found = value_of("brier", columns(score=[0.1] * n, truth=[1] * n))
        assert (found.interval, found.interval_method) == (None, "none: nothing varies"), n


def test_draws_without_a_value_are_counted():
    rows = columns(score=[0.1, 0.2, 0.3, 0.4], truth=[1, 0, 0, 0])
    found = value_of("auroc", rows, draws=400)
    if found.interval is None:
        assert found.interval_method == "none: nothing varies"
    rows = columns(score=[0.35, 0.2, 0.3, 0.4], truth=[1, 0, 0, 0])
    found = value_of("auroc", rows, draws=400)
    assert re.search(r"bootstrap of 400 draws, 1\d\d of them without a value", found.interval_method)


def test_value_that_hardly_any_draw_has_gets_no_interval():
    rows = columns(score=[0.35, 0.2], truth=[1, 0])
    found = value_of("auroc", rows, draws=20)
    assert (found.interval, found.interval_method[:30]) == (None, "none: the value is defined in ")
