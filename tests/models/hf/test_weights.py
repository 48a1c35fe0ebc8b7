"""Checks of a model folder before transformers reads it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from jurat.models import ModelError, open_model
from jurat.models.bundled.model import NAIVE, WEIGHTS
from jurat.models.hf.load_model import load, weights_digest
from jurat.models.hf.weights import check_folder

Change = Callable[[Path], None]


@pytest.fixture
def folder(llava_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llava_folder, tmp_path / "model"))


def edit(folder: Path, **changes: Any) -> None:
    """Sets keys of config.json; a dict is merged into the one that is there."""
    config = json.loads((folder / "config.json").read_text())
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config))


def shard(folder: Path, first: str = "model-1.safetensors", second: str = "model-2.safetensors") -> None:
    """Splits the weights into two files with an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    table = {name: first if i < len(names) // 2 else second for i, name in enumerate(names)}
    for file in (first, second):
        part = {name: tensors[name] for name in names if table[name] == file}
        if file.endswith(".safetensors"):
            save_file(part, folder / file, metadata={"format": "pt"})
        else:
            torch.save(part, folder / file)
    index = {"metadata": {"total_size": 1}, "weight_map": table}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def pickled_shard(folder: Path) -> None:
    shard(folder, "pytorch_model-1.bin")


def shard_elsewhere(folder: Path) -> None:
    shard(folder, "../elsewhere.safetensors")


def absolute_shard(folder: Path) -> None:
    shard(folder, str(folder.parent / "absolute.safetensors"))


def shard_that_is_not_there(folder: Path) -> None:
    shard(folder)
    (folder / "model-2.safetensors").unlink()


def index_without_a_map(folder: Path) -> None:
    shard(folder)
    (folder / "model.safetensors.index.json").write_text('{"metadata": {}}')


def index_of_numbers(folder: Path) -> None:
    shard(folder)
    (folder / "model.safetensors.index.json").write_text('{"metadata": {}, "weight_map": {"a": 3}}')


def index_with_no_end(folder: Path) -> None:
    shard(folder)
    (folder / "model.safetensors.index.json").write_text("[" * 200_000)


def adapter_weights(folder: Path) -> None:
    torch.save({}, folder / "adapter_model.bin")
    edit(folder, transformers_weights="adapter_model.bin")


def configured_elsewhere(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder.parent / "other.safetensors")
    edit(folder, transformers_weights="../other.safetensors")


def audio_network(folder: Path) -> None:
    settings = json.loads((folder / "processor_config.json").read_text())
    named = {"audio_tokenizer_class": "DacModel", "audio_tokenizer_name_or_path": str(folder.parent)}
    (folder / "processor_config.json").write_text(json.dumps({**settings, "audio_tokenizer": named}))


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/base"}')


def cut(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def header_of_nothing(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:8] + b"\xff" * 64 + whole[72:])


def without_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors[max(name for name in tensors if "language_model" in name and "layers.1." in name)]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def zero_heads(folder: Path) -> None:
    edit(folder, text_config={"num_attention_heads": 0})


def ten_million_layers(folder: Path) -> None:
    edit(folder, text_config={"num_hidden_layers": 10_000_000})


def layers_of_the_tower(folder: Path) -> None:
    edit(folder, vision_config={"num_hidden_layers": 10_000_000})


def negative_width(folder: Path) -> None:
    edit(folder, text_config={"hidden_size": -4})


def width_of_text(folder: Path) -> None:
    edit(folder, text_config={"hidden_size": "wide"})


def config_of_a_list(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pickled_shard, "names 'pytorch_model-1.bin' as weights, which is no safetensors file"),
        (shard_elsewhere, "names weights outside its folder: '../elsewhere.safetensors'"),
        (absolute_shard, "names weights outside its folder"),
        (shard_that_is_not_there, "The weights are incomplete: there is no .*model-2.safetensors"),
        (index_without_a_map, "is no index of weights: it has no weight_map"),
        (index_of_numbers, "names 3 as weights, which is no safetensors file"),
        (index_with_no_end, "index.json cannot be read: "),
        (adapter_weights, "names 'adapter_model.bin' as weights, which is no safetensors file"),
        (configured_elsewhere, "names weights outside its folder: '../other.safetensors'"),
        (adapter, "holds an adapter"),
        (audio_network, "processor_config.json names a network for audio"),
        (cut, "model.safetensors is damaged, or no safetensors file"),
        (header_of_nothing, "model.safetensors is damaged, or no safetensors file"),
        (without_a_tensor, "lacks 1 of the [0-9]+ weights of a LlavaForConditionalGeneration, .* at random"),
        (zero_heads, "could not be loaded: "),
        (ten_million_layers, "asks for num_hidden_layers = 10,000,000; the weights are [0-9]+ tensors"),
        (layers_of_the_tower, "asks for num_hidden_layers = 10,000,000"),
        (negative_width, "could not be loaded: "),
        (width_of_text, "could not be loaded: "),
        (config_of_a_list, "config.json holds no JSON object"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_unsafe_or_unreadable_weights_are_one_error_line(
    folder: Path, change: Change, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpickle(*_: Any, **__: Any) -> None:
        raise AssertionError("something was unpickled")

    change(folder)
    monkeypatch.setattr(torch, "load", unpickle)
    with pytest.raises(ModelError, match=message) as raised:
        open_model(f"hf/{folder}", device="cpu")
    assert "\n" not in raised.value.message
    assert raised.value.exit_code == 3


def test_sharded_weights_load_and_their_index_is_in_the_revision(folder: Path) -> None:
    whole = load(folder, device="cpu")
    shard(folder)
    parts = load(folder, device="cpu")
    states = whole.network.state_dict(), parts.network.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(value.equal(states[1][name]) for name, value in states[0].items())
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weights_digest(folder) != parts.revision, "other files would be read"


def test_revision_depends_on_the_selected_weights_file(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "other.safetensors")
    first = weights_digest(folder)
    edit(folder, transformers_weights="other.safetensors")
    assert weights_digest(folder) != first


def test_digests_equal_those_of_the_committed_tables() -> None:
    root = Path(__file__).parents[3]
    table = root / "docs" / "results" / "pictograms" / "results.json"
    assert f"naive@{weights_digest(NAIVE)}" in table.read_text()
    table = root / "training" / "measurements" / "strangers-after.json"
    assert f'"revision": "{weights_digest(WEIGHTS)}"' in table.read_text()


def test_only_absurd_counts_in_the_configuration_are_refused(folder: Path) -> None:
    edit(folder, text_config={"shared_experts_intermediate_size": 20_000, "num_experts": 16_384})
    check_folder(folder)
    edit(folder, text_config={"num_experts": 10**7})
    with pytest.raises(ModelError, match="asks for num_experts = 10,000,000"):
        check_folder(folder)


def test_ten_million_layers_are_refused_by_the_command(folder: Path) -> None:
    ten_million_layers(folder)
    done = subprocess.run(
        [sys.executable, "-m", "jurat", "models", "--explain", f"hf/{folder}", "--device", "cpu"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 2 and "bug in jurat" not in done.stderr
