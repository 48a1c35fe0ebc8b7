"""`jurat list`: the entries of each kind, and what a missing extra would add."""

from __future__ import annotations

import json

import pytest

from jurat.registry import KINDS


def test_list_shows_every_kind_with_plug_ins(jurat):
    result = jurat("list")
    assert result.exit_code == 0, result.output
    starts = [line.split()[0] for line in result.stdout.splitlines() if line[:1].strip()]
    assert [kind for kind in starts if kind in KINDS] == list(KINDS)
    assert {"hf/NAME_OR_PATH", "colour/...", ".csv,", "oracle"} <= set(starts)
    assert "(colour-model)" in result.stdout


def test_list_shows_one_kind(jurat):
    result = jurat("list", "sources")
    assert result.exit_code == 0, result.output
    assert "Parquet" in result.stdout and "pictograms" not in result.stdout


def test_unknown_kind_is_wrong_usage(jurat):
    result = jurat("list", "source")
    assert result.exit_code == 2
    assert "There is no kind 'source' to list.\n  Did you mean 'sources'?" in result.output


def test_json_has_provider_usage_and_install_command(jurat):
    entries = json.loads(jurat("list", "models", "--json").stdout)
    colour = next(entry for entry in entries if entry["name"] == "colour")
    assert (colour["provider"], colour["usage"], colour["install"]) == ("colour-model", "colour/...", None)
    assert {entry["kind"] for entry in entries} == {"models"}


def test_missing_extra_names_the_install_command(jurat, monkeypatch):
    monkeypatch.setattr("jurat.registry.find_spec", lambda name: None if name == "torch" else object())
    told = " ".join(jurat("list").stdout.split())
    parts = (part.partition(". To add it: ") for part in told.split("Not installed: what is needed for ")[1:])
    named = {command.strip(): names.split(", ") for names, _, command in parts}
    assert {*named} == {'pip install "jurat[diffusion]"', 'pip install "jurat[local]"'}
    assert all(names == sorted(names) for names in named.values())
    local = {*named['pip install "jurat[local]"']}
    assert {"bundled", "hf", "llama-guard-4", "toxicity", "carlini"} < local
    (bundled,) = (
        entry
        for entry in json.loads(jurat("list", "detectors", "--json").stdout)
        if entry["name"] == "bundled"
    )
    assert (bundled["missing"], bundled["install"]) == (["torch"], 'pip install "jurat[local]"')


@pytest.mark.parametrize("arguments", [("list", "bench_methods"), ("bench", "methods")])
def test_bench_methods_are_listed_by_both_commands(arguments, jurat):
    result = jurat(*arguments)
    assert result.exit_code == 0, result.output
    assert "oracle" in result.stdout and "arXiv:2501.00192" in result.stdout
