"""The tidy table: made from rows, written and read as Parquet, cut into cells that can be paired."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from jurat.errors import JuratError
from jurat.metrics import UNSURE, Table, join, read_table, write_table

ROWS = [
    {"unit": "1", "clusters": ["a", "x"], "truth": 1, "said": 1, "score": 0.9, "method": "m", "cost_t": 7},
    {"unit": "2", "clusters": ["a", "y"], "truth": 0, "said": None, "score": None, "method": "m"},
    {"unit": "2", "clusters": ["a", "y"], "truth": 0.5, "said": 0, "score": 0.2, "method": "n", "seed": 3},
    {"unit": "1", "clusters": ["a", "x"], "truth": None, "said": True, "score": 0.1, "method": "n"},
]  # fmt: skip


def test_rows_become_columns():
    table = Table.of(ROWS)
    assert table.said.tolist() == [1, UNSURE, 0, 1]
    assert np.isnan(table.score).tolist() == [False, True, False, False]
    assert table.costs["t"].tolist()[0] == 7 and np.isnan(table.costs["t"][1:]).all()
    assert table.factors["seed"].tolist() == ["", "", "3", ""]
    assert [level.tolist() for level in table.clusters] == [["a"] * 4, ["x", "y", "y", "x"]]


def test_parquet_file_round_trips_and_other_tools_read_it(tmp_path):
    table, path = Table.of(ROWS), tmp_path / "new folder" / "t.parquet"
    write_table(path, table)
    assert list(read_table(path).rows()) == list(table.rows())
    found = duckdb.sql(f"select method, avg(said) from '{path}' group by method order by method").fetchall()
    assert found == [("m", 1.0), ("n", 0.5)]


def test_empty_table_round_trips(tmp_path):
    write_table(tmp_path / "t.parquet", Table.of([]))
    assert len(read_table(tmp_path / "t.parquet")) == 0


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is not a table of judgements"), (None, "cannot be read")]
)
def test_unreadable_file_is_one_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(JuratError, match=message):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"said": 1}], "a row has no unit"),
        ([{"unit": "1", "clusters": "image"}], "clusters must be a list of names"),
        ([{"unit": "1", "said": 0.5}], "said must be 0, 1 or null, not 0.5"),
        ([{"unit": "1", "truth": 2}], r"truth must lie in \[0, 1\]"),
        ([{"unit": "1", "clusters": ["a"]}, {"unit": "2"}], "different numbers of clusters"),
    ],
)
def test_malformed_rows_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        Table.of(rows)


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="as long as its units: score"):
        Table(np.array(["1"]), (), np.ones(1), np.ones(1, int), np.ones(2))


def test_cells_come_in_the_order_of_their_rows():
    table = Table.of(ROWS)
    assert [(key, len(cell)) for key, cell in table.cells("method")] == [
        ({"method": "m"}, 2), ({"method": "n"}, 2),
    ]  # fmt: skip
    assert [len(cell) for _, cell in table.cells()] == [4]
    assert len(table.where({"method": "n", "seed": ["3", "4"]})) == 1
    with pytest.raises(ValueError, match="no factor 'model'; its factors: method, seed"):
        table.where({"model": "x"})


def test_cells_are_paired_by_unit():
    m, n = (cell for _, cell in Table.of(ROWS).cells("method"))
    assert m.beside(n).units.tolist() == ["1", "2"] and m.beside(n).said.tolist() == [1, 0]
    with pytest.raises(ValueError, match="1 are in one only"):
        m.beside(n.take(np.array([0])))
    with pytest.raises(ValueError, match="more than one row of a cell"):
        m.beside(join([n, n]))


def test_joined_tables_have_all_factors():
    one = Table.of([{"unit": "1", "method": "m", "cost_usd": 1}])
    other = Table.of([{"unit": "1", "model": "x"}])
    whole = join([one, other])
    assert whole.factors["model"].tolist() == ["", "x"] and whole.factors["method"].tolist() == ["m", ""]
    assert whole.costs["usd"].tolist()[0] == 1 and np.isnan(whole.costs["usd"][1])


def test_infinite_scores_and_nameless_clusters_are_refused():
    with pytest.raises(ValueError, match="scores must be finite"):
        Table.of([{"unit": "a", "said": 1, "score": float("inf")}])
    with pytest.raises(ValueError, match="a cluster has no name"):
        Table.of([{"unit": "a", "said": 1, "clusters": ["x", None]}])
