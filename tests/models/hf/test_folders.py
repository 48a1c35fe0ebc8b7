"""Model families opened from folders; models that cannot work are refused when opened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from jurat.content import Chat, Generation, Turn
from jurat.models import Inquiry, ModelError, open_model
from jurat.models.hf.batch_sizes import PassLimits
from jurat.models.hf.model import LocalModel
from jurat.models.hf.torchvision_import import prepare_torchvision

from ..folders import FOLDERS, Parts, blip_2, instructblip, save
from ..tiny import picture
from .test_processors import INSTRUCTION, QUESTIONS, TEMPLATE

NEEDS_TORCHVISION = {"qwen3-vl", "llama4"}
SIZES = [(40, 40), (60, 40), (20, 70)]

needs_torchvision = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")


def families(*names: str) -> list[Any]:
    return [
        pytest.param(name, marks=needs_torchvision) if name in NEEDS_TORCHVISION else name
        for name in names or FOLDERS
    ]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LocalModel]:
    models: dict[str, LocalModel] = {}

    def model(name: str) -> LocalModel:
        if name not in models:
            folder = save(FOLDERS[name](), tmp_path_factory.mktemp(name))
            found = open_model(f"hf/{folder}", device="cpu")
            assert isinstance(found, LocalModel)
            models[name] = found
        return models[name]

    return model


def about(*images: Image.Image) -> Chat:
    return Chat((Turn("user", (*images, INSTRUCTION)),))


def log_odds(model: LocalModel, chat: Chat, questions: tuple[str, ...] = QUESTIONS) -> list[float]:
    (answer,) = model.ask([Inquiry(chat, questions)])
    assert answer.failure is None
    return [one.log_odds for one in answer.answers]


@pytest.mark.parametrize("name", families())
def test_batch_of_unequal_items_equals_single_questions(
    name: str, opened: Callable[[str], LocalModel]
) -> None:
    model = opened(name)
    chats = [about(picture(seed, size)) for seed, size in enumerate(SIZES)] + [about()]
    together = model.ask([Inquiry(chat, QUESTIONS) for chat in chats])
    for chat, answer in zip(chats, together, strict=True):
        assert answer.failure is None
        alone = [log_odds(model, chat, (question,))[0] for question in QUESTIONS]
        assert [one.log_odds for one in answer.answers] == pytest.approx(alone, abs=2e-3)
    seen = {tuple(one.log_odds for one in answer.answers) for answer in together}
    assert len(seen) == len(chats), "every picture is looked at"
    assert model.unable == {}


@pytest.mark.parametrize("name", families())
def test_batched_chat_equals_single_chats(name: str, opened: Callable[[str], LocalModel]) -> None:
    model = opened(name)
    chats = [
        Chat(about(*images).turns, Generation(max_tokens=4))
        for images in ([picture(1)], [picture(2, (60, 40))], [])
    ]
    replies = model.chat(chats)
    assert [reply.failure for reply in replies] == [None] * 3
    assert [reply.text for reply in replies] == [model.chat([chat])[0].text for chat in chats]


@pytest.mark.parametrize("kind", ["blip-2-opt", "instructblip-vicuna", "blip-2-t5", "instructblip-t5"])
def test_blip_prompt_and_answers_equal_transformers(kind: str, opened: Callable[[str], LocalModel]) -> None:
    model = opened(kind)
    said = f"{INSTRUCTION}\n{QUESTIONS[0]}"
    text = f"Question: {said} Answer:" if kind.startswith("blip") else f"{said}\n"
    inputs = model.encoder.processor(images=picture(1), text=text, return_tensors="pt")
    if kind.endswith("t5"):
        inputs["decoder_input_ids"] = torch.tensor([[0]])
    with torch.inference_mode():
        logits = model.network._network(**inputs).logits[0, -1].double()
    masses = [logits[model.answers[answer]].logsumexp(-1) for answer in ("yes", "no")]
    assert log_odds(model, about(picture(1)), QUESTIONS[:1]) == pytest.approx(
        [float(masses[0] - masses[1])], abs=1e-4
    )


def test_blip_prior_equals_its_language_model(opened: Callable[[str], LocalModel]) -> None:
    model = opened("blip-2-opt")
    text = f"Question: {INSTRUCTION}\n{QUESTIONS[0]} Answer:"
    ids = model.encoder.tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = model.network.language_model(input_ids=ids).logits[0, -1].double()
    masses = [logits[model.answers[answer]].logsumexp(-1) for answer in ("yes", "no")]
    assert log_odds(model, about(), QUESTIONS[:1]) == pytest.approx([float(masses[0] - masses[1])], abs=1e-4)


def test_single_image_family_refuses_several_images(opened: Callable[[str], LocalModel]) -> None:
    model = opened("blip-2-opt")
    two, one = model.ask([Inquiry(about(*[picture(i) for i in range(n)]), QUESTIONS) for n in (2, 1)])
    assert two.failure is not None and one.failure is None
    assert two.failure.reason == "The model takes 1 image in a conversation, and there are 2."


@pytest.mark.parametrize("name", families("got-ocr2", "qwen3-vl", "llama4", "chameleon", "idefics"))
def test_second_image_changes_the_answers(name: str, opened: Callable[[str], LocalModel]) -> None:
    model = opened(name)
    assert model.encoder.most_images is None
    assert log_odds(model, about(picture(1), picture(2))) != log_odds(model, about(picture(1), picture(3)))


def test_processor_that_places_images_keeps_the_placeholder() -> None:
    from jurat.models.hf.load_model import LoadedModel
    from jurat.models.hf.probe import probe

    from ..families import BY_NAME
    from .test_processors import paligemma

    model = LocalModel(
        LoadedModel(BY_NAME["paligemma"].network(), paligemma(), "0" * 12, "float32"), name="p"
    )
    probe(model)
    assert model.encoder.template.form.placed and model.encoder.most_images is None


def test_per_layer_sizes_are_read_as_their_maximum() -> None:
    from transformers import Gemma3nForCausalLM, Gemma3nTextConfig

    config = Gemma3nTextConfig(
        vocab_size=64, vocab_size_per_layer_input=64, hidden_size=32, hidden_size_per_layer_input=8,
        intermediate_size=[64, 128], num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=16, num_kv_shared_layers=0, laurel_rank=4, pad_token_id=0,
        layer_types=["sliding_attention", "full_attention"], activation_sparsity_pattern=[0.0, 0.0],
    )  # fmt: skip
    assert PassLimits.of(Gemma3nForCausalLM(config)).tokens > 0


# --- templates -----------------------------------------------------------------------------------

PRINTS_LISTS = (
    "<s>{% for turn in messages %}{{ turn['role'] }} : {{ turn['content'] }} {% endfor %} ASSISTANT :"
)
DROPS_SYSTEM = TEMPLATE.replace(
    "{% for turn in messages %}", "{% for turn in messages if turn['role'] != 'system' %}"
)
REFUSES_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
) + TEMPLATE
THINKS = TEMPLATE + "{% if add_generation_prompt %} <think>{% endif %}"
ONE_TURN = TEMPLATE.replace("in messages", "in messages[-1:]")
ONE_IMAGE = (
    "<s>{% for turn in messages %}USER :{% for part in turn['content'] if part['type'] == 'text' %}"
    "{% if loop.first and turn['content'][0]['type'] == 'image' %} <image>{% endif %} {{ part['text'] }}"
    "{% endfor %}{% endfor %} ASSISTANT :"
)
DEAF = "<s>USER : <image> What is this? ASSISTANT :"
BLIND = TEMPLATE.replace("'<image>'", "''")
TWICE = TEMPLATE.replace("'<image>'", "'<image> <image>'")


def templated(llava_folder: Path, folder: Path, template: str) -> str:
    shutil.copytree(llava_folder, folder)
    (folder / "chat_template.jinja").write_text(template)
    return f"hf/{folder}"


@pytest.mark.parametrize(
    ("template", "remark"),
    [
        (PRINTS_LISTS, "it takes texts, not lists of parts"),
        (DROPS_SYSTEM, "it has no system turn: what that says goes before the first user turn"),
        (REFUSES_SYSTEM, "it has no system turn: what that says goes before the first user turn"),
        (THINKS, "it opens a thinking block, which is closed unless thinking is asked for"),
        (ONE_IMAGE, "it shows one image only"),
    ],
    ids=["prints-lists", "drops-system", "refuses-system", "thinks", "one-image"],
)
def test_template_form_that_shows_everything_is_chosen(
    template: str, remark: str, llava_folder: Path, tmp_path: Path
) -> None:
    model = open_model(templated(llava_folder, tmp_path / "model", template), device="cpu")
    assert isinstance(model, LocalModel)
    assert remark in model.encoder.template.remarks
    chat = Chat((Turn("system", ("kitchen",)), Turn("user", (picture(1), "child"))))
    text = model.encoder.render(chat, "knife")
    assert [text.count(word) for word in ("kitchen", "child", "knife", "<image>")] == [1, 1, 1, 1]
    assert "type" not in text
    assert text.rstrip().endswith("</think>") is (template is THINKS)
    assert model.ask([Inquiry(chat, ("knife",))])[0].failure is None
    assert model.chat([Chat(chat.turns, Generation(max_tokens=2))])[0].failure is None


def test_one_turn_template_refuses_several_turns(llava_folder: Path, tmp_path: Path) -> None:
    model = open_model(templated(llava_folder, tmp_path / "model", ONE_TURN), device="cpu")
    assert model.ask([Inquiry(about(picture(1)), QUESTIONS)])[0].failure is None
    turns = (Turn("user", ("one",)), Turn("assistant", ("two",)), Turn("user", ("three",)))
    with pytest.raises(ModelError, match="writes one turn only, and the conversation has several"):
        model.chat([Chat(turns)])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (DEAF, "does not show what it is given: the system occurs 0 times in what it writes"),
        (TWICE, "does not show what it is given: an image is written more than once"),
        (BLIND, "its chat template writes no placeholder for one"),
        ("{% for", "does not show what it is given: it fails .TemplateSyntaxError"),
        ("{{ messages[0]['content'][0]['nothing']['there'] }}", "does not show what it is given: it fails"),
    ],
    ids=["deaf", "twice", "blind", "syntax", "undefined"],
)
def test_faulty_template_is_refused_when_opened(
    template: str, message: str, llava_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        open_model(templated(llava_folder, tmp_path / "model", template), device="cpu")
    assert "\n" not in raised.value.message and raised.value.hint


def test_template_is_read_from_the_tokenizer_configuration(llava_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llava_folder, tmp_path / "model"))
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        open_model(f"hf/{folder}", device="cpu")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    for given in (template, [{"name": "default", "template": template}]):
        (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": given}))
        model = open_model(f"hf/{folder}", device="cpu")
        whole = open_model(f"hf/{llava_folder}", device="cpu")
        inquiry = Inquiry(about(picture(1)), QUESTIONS)
        assert model.ask([inquiry]) == whole.ask([inquiry])


# --- what is found when a model is opened ---------------------------------------------------------


def unread_images() -> Parts:
    """BLIP-2 whose processor does not know how many tokens an image takes, as in old checkpoints: none."""
    parts = blip_2()
    parts.processor.num_query_tokens = None
    return parts


def other_number_of_tokens() -> Parts:
    parts = instructblip()
    parts.processor.num_query_tokens = 7
    return parts


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (unread_images, "its answer does not depend on the image"),
        (other_number_of_tokens, "its forward pass on an image and a question fails .RuntimeError"),
    ],
)
def test_family_that_cannot_judge_is_refused_when_opened(
    parts: Callable[[], Parts], message: str, tmp_path: Path
) -> None:
    folder = save(parts(), tmp_path / "model")
    with pytest.raises(ModelError, match=message) as raised:
        open_model(f"hf/{folder}", device="cpu")
    assert raised.value.message.startswith(f"'hf/{folder}' cannot judge images: ")


def test_chat_only_fault_is_raised_by_the_first_chat(llava_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llava_folder, tmp_path / "model"))
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(
        json.dumps({**settings, "cache_implementation": "quantized"})
    )
    model = open_model(f"hf/{folder}", device="cpu")
    assert model.ask([Inquiry(about(picture(1)), QUESTIONS)])[0].failure is None
    with pytest.raises(ModelError, match="cannot take conversations: ") as raised:
        model.chat([about(picture(1))])
    assert raised.value.hint == "Use a preset that asks closed questions only."


def test_missing_package_of_a_family_names_the_install_command(llava_folder: Path, tmp_path: Path) -> None:
    from importlib.util import find_spec

    if find_spec("timm") is not None:
        pytest.skip("timm is installed here")
    folder = Path(shutil.copytree(llava_folder, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"] = {"model_type": "timm_wrapper", "architecture": "resnet18"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="requires the timm library but it was not found") as raised:
        open_model(f"hf/{folder}", device="cpu")
    assert raised.value.hint == "Install it: pip install timm"


# --- torchvision ---------------------------------------------------------------------------------


@needs_torchvision
def test_image_backend_option_is_part_of_the_revision(tmp_path: Path) -> None:
    folder = save(FOLDERS["qwen3-vl"](), tmp_path / "model")
    models = [
        open_model(f"hf/{folder}{option}", device="cpu")
        for option in ("", "?image_backend=pil", "?image_backend=torchvision")
    ]
    assert [model.revision.rpartition("-")[2] for model in models] == ["pil", "pil", "torchvision"]
    image = Image.effect_mandelbrot((150, 90), (-2, -1, 1, 1), 30).convert("RGB")
    default, pillow, other = (model.ask([Inquiry(about(image), QUESTIONS)])[0].answers for model in models)
    assert default == pillow != other


OPEN = """
import sys
from jurat.models import ModelError, open_model
for name in sys.argv[1:]:
    try:
        print(open_model(name, device="cpu").revision)
    except ModelError as error:
        print(error)
"""


@needs_torchvision
@pytest.mark.parametrize(
    "broken",
    ["raise RuntimeError('built for another torch')", "raise ImportError('libcudart.so.13')"],
)
@pytest.mark.slow
def test_broken_torchvision_stops_only_models_that_need_it(
    broken: str, tmp_path: Path, llava_folder: Path
) -> None:
    folder = save(FOLDERS["qwen3-vl"](), tmp_path / "model")
    package = tmp_path / "path" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(broken)
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-c", OPEN, "bundled", "bundled-writer", f"hf/{llava_folder}", f"hf/{folder}"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    bundled, writer, llava, *lines = done.stdout.splitlines()
    assert len(bundled) == len(writer) == 12 and llava.endswith("-pil")
    assert "its processor needs torchvision, which" in lines[0] and "does not fit torch" in lines[0]
    assert lines[1].strip() == "Install the build of torchvision that belongs to your torch."
