"""Defenses that act inside a local model: on its logits and on its activations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from jurat.content import Chat, Generation, Turn
from jurat.defenses import DefendedModel, defend, open_defense
from jurat.defenses.fitting.detoxifier import Schedule, fit_detoxifier, read_rewrites
from jurat.defenses.fitting.examples import read_examples
from jurat.defenses.fitting.linear_head import LinearHead, fit_head
from jurat.defenses.fitting.safety_vectors import SafetyVectors, fit_vectors
from jurat.defenses.methods.coca import Coca
from jurat.defenses.methods.protector import Protector, rewriting
from jurat.errors import JuratError
from jurat.models import Defended, DefenseCost, Inquiry, Model, Steerable, YesNo, open_model
from jurat.models.null import NullModel
from jurat.models.scripted import Rule, Script, ScriptedModel

from ..models.test_wrapper import CAPABILITIES, WHITE_BOX
from ..models.tiny import make_llava, picture
from .test_defenses import broken


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_model(f"hf/{make_llava(tmp_path_factory.mktemp('llava'))}", device="cpu")


def chat(text: str, seed: int | None = 1, **settings: Any) -> Chat:
    images = () if seed is None else (picture(seed),)
    return Chat((Turn("user", (*images, text)),), Generation(**{"max_tokens": 5, **settings}))


def cost(model: Model) -> DefenseCost:
    found = model.capability(Defended)
    assert found is not None
    return found.defenses[0]


# --- CoCA -----------------------------------------------------------------------------------------

PRINCIPLE = "coca?text=Nothing+but+a+dog+may+be+shown"
CHATS = [chat("Is a dog visible ?"), chat("What is it ?", 2), chat("Does the baby touch a knife ?", None)]


def texts(model: Model, *chats: Chat) -> list[str]:
    return [reply.text for reply in model.chat(chats or CHATS)]


def test_alpha_zero_is_the_principle_alone_and_minus_one_the_model_without_it(llava: Any) -> None:
    prompted = defend(llava, ["system-prompt?text=Nothing+but+a+dog+may+be+shown"])
    assert texts(prompted) != texts(llava)
    assert texts(defend(llava, [f"{PRINCIPLE}&alpha=0"])) == texts(prompted)
    assert texts(defend(llava, [f"{PRINCIPLE}&alpha=-1&plausible=0"])) == texts(llava)


@pytest.mark.parametrize("plausible", [0.0, 0.1, 1.0])
def test_first_token_is_that_of_the_formula(llava: Any, plausible: float) -> None:
    """Golden: two plain forward passes, and the formula written out."""
    steer = llava.capability(Steerable)
    defense = open_defense(f"{PRINCIPLE}&alpha=3&plausible={plausible}")
    for each in CHATS:
        told, plain = steer.forward([defense.shown(each), each])
        golden = 4 * told - 3 * plain
        golden[told.softmax(-1) < plausible * told.softmax(-1).max()] = float("-inf")
        word = llava.encoder.tokenizer.decode([int(golden.argmax())], skip_special_tokens=True)
        (reply,) = defend(llava, [defense]).chat([Chat(each.turns, Generation(max_tokens=1))])
        assert reply.text == word


def test_combined_logits_equal_the_formula() -> None:
    told, plain = torch.tensor([[2.0, 1.0, -9.0, -torch.inf]]), torch.tensor([[1.0, 3.0, -9.0, -torch.inf]])
    free = Coca(alpha=2.0, plausible=0.0).combine(told, plain)
    assert free.tolist() == [[4.0, -3.0, -9.0, -torch.inf]]
    assert Coca(alpha=2.0, plausible=0.5).combine(told, plain).isfinite().tolist() == [
        [True, False, False, False]
    ]
    assert Coca().combine(told * torch.nan, plain).isnan().all()


def test_closed_questions_have_calibrated_odds(llava: Any) -> None:
    asked = Inquiry(CHATS[0], ("Is a cat visible ?", "Is a child visible ?"))
    told = defend(llava, ["system-prompt?text=Nothing+but+a+dog+may+be+shown"]).ask([asked])[0].answers
    plain = llava.ask([asked])[0].answers
    model = defend(llava, [f"{PRINCIPLE}&alpha=2"])
    for made, one, other in zip(model.ask([asked])[0].answers, told, plain, strict=True):
        assert made.log_odds == pytest.approx(3 * one.log_odds - 2 * other.log_odds, abs=1e-4)
        assert made.mass == pytest.approx(one.mass)
    assert Coca(alpha=0.0)._answer(YesNo(0.6, 0.3), YesNo(0.1, 0.2)).yes == pytest.approx(0.6)
    assert (cost(model).items, cost(model).calls) == (1, 1)


def test_batch_equals_singles_and_both_readings_are_counted(llava: Any) -> None:
    model = defend(llava, [PRINCIPLE])
    bad = chat("What ?", None, max_tokens=0)
    together = model.chat([*CHATS, bad])
    assert together[3].failure is not None and "max_tokens is 0" in together[3].failure.reason
    found = cost(model)
    assert together == [model.chat([each])[0] for each in (*CHATS, bad)]
    assert (found.items, found.calls, found.blocked, found.checks) == (4, 4, 0, 0)
    plain = sum(each.usage.input_tokens for each in llava.chat(CHATS))
    assert found.usage.input_tokens == plain and found.usage.output_tokens == 0


def test_is_refused_over_another_defense_and_for_models_of_services(llava: Any) -> None:
    with pytest.raises(JuratError, match="The defense 'coca' needs a model with PairedDecoding, not 'null'"):
        defend(NullModel(), ["coca"])
    with pytest.raises(JuratError, match="name this one last, so that it is the closest to the model"):
        defend(llava, [PRINCIPLE, "jpeg"])
    assert isinstance(defend(llava, ["jpeg", PRINCIPLE]), DefendedModel)


# --- InferAligner ---------------------------------------------------------------------------------

HARMFUL = ["A child touches a knife", "A baby touches a dagger", "The knife and the dagger touching"]
HARMLESS = ["A dog is visible", "There are at least two dogs", "The sign reads STOP"]


def prompts(folder: Path, *more: str) -> Path:
    rows = ["prompt,harmful", *(f"{each},yes" for each in HARMFUL), *(f"{each},no" for each in HARMLESS)]
    (folder / "prompts.csv").write_text("\n".join((*rows, *more)))
    return folder / "prompts.csv"


@pytest.fixture(scope="module")
def fitted(llava: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of the tiny model, whose classes are two colours of harmless sentences."""
    folder = tmp_path_factory.mktemp("fitted")
    examples = read_examples(prompts(folder), "prompt")
    made = fit_vectors(llava, llava, examples)
    assert (made.harmful, made.harmless, made.left_out) == (3, 3, ())
    made.vectors.save(folder / "vectors.safetensors", **made.facts(examples))
    return folder / "vectors.safetensors"


def states(model: Any, text: str, layers: tuple[str, ...]) -> list[torch.Tensor]:
    (found,) = model.capability(Steerable).hidden_states([Chat((Turn("user", (text,)),))], layers)
    return [found[name][0, -1] for name in layers]


def test_vectors_are_normalised_differences_of_means(llava: Any, fitted: Path) -> None:
    vectors = SafetyVectors.load(fitted)
    assert vectors.layers == tuple(f"model.language_model.layers.{i}" for i in range(3))
    assert vectors.model == vectors.aligned and vectors.model.startswith("hf/")
    for i, name in enumerate(vectors.layers):
        bad, good = (
            torch.stack([states(llava, each, (name,))[0] for each in some]) for some in (HARMFUL, HARMLESS)
        )
        away = bad.mean(0) - good.mean(0)
        assert torch.allclose(vectors.safety[i], away / away.norm(), atol=1e-5)
        middle = (bad.mean(0) + good.mean(0)) / 2
        assert float(vectors.bias[i]) == pytest.approx(-float(middle @ away / away.norm()), abs=1e-3)
        # The midpoint lies between the means of both classes.
        assert float(bad.mean(0) @ vectors.safety[i] + vectors.bias[i]) > 0
        assert float(good.mean(0) @ vectors.safety[i] + vectors.bias[i]) < 0


def gates(llava: Any, fitted: Path, text: str) -> list[bool]:
    vectors = SafetyVectors.load(fitted)
    return vectors.gates(torch.stack(states(llava, text, vectors.layers))).tolist()


def test_layers_with_open_gates_are_shifted_and_others_are_not(llava: Any, fitted: Path) -> None:
    """Golden: hooks that are written out."""
    vectors, steer = SafetyVectors.load(fitted), llava.capability(Steerable)
    model = defend(llava, [f"inferaligner?vectors={fitted}&alpha=6&layers=0-2"])
    steered = 0
    for text in (*HARMFUL, *HARMLESS):
        asked = Chat((Turn("user", (text,)),), Generation(max_tokens=4))
        hooks = {
            name: lambda hidden, i=i: hidden + 6 * vectors.steering[i]
            for i, (name, is_open) in enumerate(zip(vectors.layers, gates(llava, fitted, text), strict=True))
            if is_open
        }
        with steer.hooks(hooks):
            (expected,) = llava.chat([asked])
        steered += bool(hooks)
        (reply,) = model.chat([asked])
        assert reply.text == expected.text
    assert 0 < steered < 6 and cost(model).events == {"steered": steered}
    assert (cost(model).items, cost(model).calls, cost(model).checks, cost(model).blocked) == (6, 0, 6, 0)


def test_questions_have_gates_of_their_own_and_batches_equal_singles(llava: Any, fitted: Path) -> None:
    model = defend(llava, [f"inferaligner?vectors={fitted}&alpha=6"])
    asked = [Inquiry(Chat((Turn("user", (picture(seed),)),)), (*HARMFUL[:2], HARMLESS[0])) for seed in (1, 2)]
    together = model.ask(asked)
    for inquiry, answer in zip(asked, together, strict=True):
        for question, said in zip(inquiry.questions, answer.answers, strict=True):
            (alone,) = model.ask([Inquiry(inquiry.prefix, (question,))])
            assert alone.answers[0].yes == pytest.approx(said.yes, abs=1e-5)
    chats = [chat(text, seed) for seed, text in enumerate((*HARMFUL, *HARMLESS))]
    assert model.chat(chats) == [model.chat([each])[0] for each in chats]


def test_alpha_zero_changes_no_answer(llava: Any, fitted: Path) -> None:
    model = defend(llava, [f"inferaligner?vectors={fitted}&alpha=0"])
    chats = [chat(text) for text in (*HARMFUL, *HARMLESS)]
    assert texts(model, *chats) == texts(llava, *chats)


def hooks_on(model: Any) -> dict[str, int]:
    """How many each module has; transformers leaves some of its own."""
    return {name: len(module._forward_hooks) for name, module in model.network.named_modules()}


def test_hooks_are_removed_after_an_exception(llava: Any, fitted: Path) -> None:
    defense: Any = open_defense(f"inferaligner?vectors={fitted}&layers=0-2")
    before, hooks = texts(llava), hooks_on(llava)

    def fails(hidden: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    vars(defense)["_shifts"] = dict.fromkeys(defense.fitted.layers, fails)
    model = defend(llava, [defense])
    harmful = next(each for each in HARMFUL if any(gates(llava, fitted, each)))
    with pytest.raises(KeyboardInterrupt):
        model.chat([chat(harmful, None)])
    assert texts(llava) == before
    assert hooks_on(llava) == hooks


def test_image_that_cannot_be_read_fails_its_conversation_only(llava: Any, fitted: Path) -> None:
    model = defend(llava, [f"inferaligner?vectors={fitted}"])
    bad = Chat((Turn("user", (broken(), "Is a dog visible ?")),))
    replies = model.chat([CHATS[0], bad, CHATS[1]])
    assert [reply.failure is None for reply in replies] == [True, False, True]
    assert replies[1].failure is not None and "could not be read" in replies[1].failure.reason


REFUSED = [
    ("inferaligner", "'inferaligner' needs vectors that were fitted to the model"),
    ("inferaligner?vectors=gone.safetensors", r"gone.safetensors cannot be read: .*"),
    ("inferaligner?vectors=prompts.csv", "prompts.csv cannot be read: "),
    ("inferaligner?vectors=vectors.safetensors&layers=2-9", "'2-9' names no layers of the 3 there are"),
    ("inferaligner?vectors=vectors.safetensors&digest=0", "vectors.safetensors has the digest .* and 0 is"),
]


@pytest.mark.parametrize(("name", "told"), REFUSED)
def test_wrong_settings_are_refused(
    fitted: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    monkeypatch.chdir(fitted.parent)
    with pytest.raises(JuratError, match=told):
        open_defense(name)


def test_vectors_of_another_model_are_refused(fitted: Path, tmp_path: Path) -> None:
    other = open_model(f"hf/{make_llava(tmp_path / 'other', seed=1)}", device="cpu")
    with pytest.raises(JuratError, match=r"was fitted to hf/.*, and the model is hf/.*other@"):
        defend(other, [f"inferaligner?vectors={fitted}"])
    with pytest.raises(JuratError, match="needs a model with Steerable, not 'null'"):
        defend(NullModel(), [f"inferaligner?vectors={fitted}"])


def test_rows_that_cannot_be_used_are_left_out_with_a_reason(tmp_path: Path) -> None:
    path = prompts(tmp_path, ",yes", "A dog,perhaps", "A dog")
    path.write_text(path.read_text().replace("prompt,harmful", "prompt,harmful"))
    left_out = read_examples(path, "prompt").left_out
    assert sorted(left_out) == [
        "line 10: 1 cells where the header has 2",
        "line 8: there is no prompt",
        "line 9: harmful: 'perhaps' is none of 1, 0, true, false, yes, no",
    ]
    (tmp_path / "few.csv").write_text("prompt,harmful\nA dog,no\nA cat,no\n")
    with pytest.raises(JuratError, match=r"few.csv has 0 harmful examples and 2 harmless that can be used"):
        read_examples(tmp_path / "few.csv", "prompt")


@pytest.mark.parametrize(
    "name",
    [
        PRINCIPLE,
        "inferaligner?vectors={folder}/vectors.safetensors",
        "jailbreak-detector?head={folder}/jailbreak-detector.safetensors",
        "protector?head={folder}/protector.safetensors",
    ],
)
def test_capabilities_are_denied(llava: Any, heads: Path, name: str) -> None:
    model = defend(llava, [name.format(folder=heads)])
    offered = {kind for kind in CAPABILITIES if model.capability(kind) is not None}
    assert not offered & set(WHITE_BOX) and offered <= {*DefendedModel.passes, *DefendedModel.provides}


# --- heads ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def heads(llava: Any, fitted: Path) -> Path:
    """Heads on the last layer, fitted to the same sentences as prompts and as replies."""
    folder = fitted.parent
    (folder / "replies.csv").write_text((folder / "prompts.csv").read_text().replace("prompt,", "reply,"))
    prompted, replied = (
        read_examples(folder / "prompts.csv", "prompt"),
        read_examples(folder / "replies.csv", "reply"),
    )
    for kind, examples in (("jailbreak-detector", prompted), ("protector", replied)):
        made = fit_head(llava, examples, 2)
        assert (made.harmful, made.harmless) == (3, 3) and 0 <= made.auroc <= 1 and 0 <= made.accuracy <= 1
        made.head.save(folder / f"{kind}.safetensors", kind, **made.facts(examples))
    return folder


def test_head_equals_the_regression_it_was_folded_from(llava: Any, heads: Path) -> None:
    """Golden: scikit-learn on the states, written out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    head = LinearHead.load(heads / "jailbreak-detector.safetensors", "jailbreak-detector")
    assert head.layer == "model.language_model.layers.2"
    seen = torch.stack([states(llava, text, (head.layer,))[0] for text in (*HARMFUL, *HARMLESS)])
    scaler = StandardScaler().fit(seen.double().numpy())
    fit = LogisticRegression(max_iter=1000, class_weight="balanced")
    fit.fit(scaler.transform(seen.double().numpy()), [True] * 3 + [False] * 3)
    expected = fit.predict_proba(scaler.transform(seen.double().numpy()))[:, 1]
    assert [head.probability(state) for state in seen] == pytest.approx(list(expected), abs=1e-4)
    assert sum(expected > 0.5) == 3


def test_detector_blocks_what_looks_harmful_and_asks_the_rest(llava: Any, heads: Path) -> None:
    model = defend(llava, [f"jailbreak-detector?head={heads}/jailbreak-detector.safetensors"])
    chats = [chat(text, None) for text in (*HARMFUL, *HARMLESS)]
    replies = model.chat([*chats, Chat((Turn("user", (broken(),)),))])
    assert [None if each.failure is None else each.failure.kind for each in replies] == [
        *["filtered"] * 3, None, None, None, "error",
    ]  # fmt: skip
    reason = replies[0].failure.reason if replies[0].failure is not None else ""
    assert reason.startswith("Blocked: the detector calls the prompt harmful (")
    assert [reply.text for reply in replies[3:6]] == texts(llava, *chats[3:])
    found = cost(model)
    assert (found.blocked, found.checks, found.events) == (4, 7, {"blocked": 3})
    blocked, asked = model.ask([Inquiry(Chat(), (text,)) for text in (HARMFUL[0], HARMLESS[0])])
    assert blocked.failure is not None and asked.failure is None


def test_reader_guards_a_model_without_hidden_states(llava: Any, heads: Path) -> None:
    name = f"jailbreak-detector?head={heads}/jailbreak-detector.safetensors"
    with pytest.raises(JuratError, match="needs a model with Steerable, not 'null'"):
        defend(NullModel(), [name])
    guarded = defend(NullModel(), [f"{name}&reader={llava.name}"])
    (reply,) = guarded.chat([chat(HARMFUL[0], None)])
    assert reply.failure is not None and reply.failure.kind == "filtered"
    guarded.close()
    with pytest.raises(JuratError, match="is for 'jailbreak-detector', version 1, not for 'protector'"):
        open_defense(f"protector?head={heads}/jailbreak-detector.safetensors")


PROTECTED = [
    ("", [("^Here is a request", HARMLESS[1])], HARMLESS[1], 1, {"rewritten": 1}),
    ("", [("^Here is a request", HARMFUL[1])], "I cannot help with that.", 1, {"rewritten": 1, "refused": 1}),
    ("&harmful=refuse", [], "I cannot help with that.", 0, {"refused": 1}),
    ("&detoxifier=scripted%2Frewrite.yaml", [], HARMLESS[2], 0, {"rewritten": 1}),
]


@pytest.mark.parametrize(("settings", "rules", "text", "added", "events"), PROTECTED)
def test_harmful_reply_is_rewritten_or_refused(
    llava: Any,
    heads: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: str,
    rules: list[tuple[str, str]],
    text: str,
    added: int,
    events: dict[str, int],
) -> None:
    monkeypatch.chdir(heads)
    Path("rewrite.yaml").write_text(f"name: rewrite\nrules: [{{reply: '{HARMLESS[2]}'}}]\n")
    name = f"protector?head=protector.safetensors&reader={llava.name}{settings}"
    said = [*rules, ("^Harmful", HARMFUL[0]), ("", HARMLESS[0])]
    plain = ScriptedModel(Script(name="test", rules=tuple(Rule(when=w, reply=r) for w, r in said)))
    model = defend(plain, [name])
    harmful, harmless = model.chat([chat("Harmful ?", max_tokens=50), chat("Harmless ?", max_tokens=50)])
    assert (harmful.text, harmless.text) == (text, HARMLESS[0])
    assert (cost(model).calls, cost(model).events) == (added, events)
    model.close()


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_states_that_are_no_numbers_open_no_gate_in_silence(llava: Any, fitted: Path, value: str) -> None:
    steer, defended = llava.capability(Steerable), defend(llava, [f"inferaligner?vectors={fitted}&layers=1"])
    layer = SafetyVectors.load(fitted).layers[0]
    with steer.hooks({layer: lambda hidden: hidden + float(value)}):
        (reply,) = defended.chat([chat("A dog is visible", None)])
    assert reply.failure is not None and "layers.1 are not finite" in reply.failure.reason


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"safety": torch.full((3, 64), torch.nan)}, "'safety' holds what is no number"),
        ({"bias": torch.full((3,), -torch.inf)}, "'bias' holds what is no number"),
        ({"bias": torch.zeros(2)}, "does not hold a vector for each layer"),
        ({"steering": torch.zeros(3)}, "does not hold a vector for each layer"),
    ],
)
def test_vectors_that_would_do_nothing_are_refused(
    fitted: Path, tmp_path: Path, change: dict[str, torch.Tensor], told: str
) -> None:
    replace(SafetyVectors.load(fitted), **change).save(tmp_path / "changed.safetensors")
    with pytest.raises(JuratError, match=told):
        open_defense(f"inferaligner?vectors={tmp_path / 'changed.safetensors'}")


@pytest.mark.parametrize(
    ("weight", "bias", "told"),
    [
        (torch.ones(4), -torch.inf, "'bias' holds what is no number"),
        (torch.ones(2, 2), 0.0, "does not hold one head of one layer"),
    ],
)
def test_head_that_would_pass_everything_is_refused(
    tmp_path: Path, weight: torch.Tensor, bias: float, told: str
) -> None:
    LinearHead("m@r", "layer", weight, bias).save(tmp_path / "head.safetensors", "jailbreak-detector")
    with pytest.raises(JuratError, match=told):
        open_defense(f"jailbreak-detector?head={tmp_path / 'head.safetensors'}")


@pytest.mark.parametrize("told", ["[]", "3", "[" * 100_000, "{"])
def test_file_with_other_facts_is_no_file_of_a_defense(tmp_path: Path, told: str) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "head.safetensors", {"jurat": told})
    with pytest.raises(JuratError, match=r"head\.safetensors (is no file that jurat|cannot be read)"):
        open_defense(f"protector?head={tmp_path / 'head.safetensors'}")


def test_rows_that_repeat_and_images_without_a_path_are_left_out(tmp_path: Path) -> None:
    rows = [("A dog", 1), ("A cat", 1), ("A dog", 1), ("A bus", 0), ("A rose", 0), ("A cup", 0), ("A cup", 1)]
    lines = [json.dumps({"prompt": text, "harmful": label}) for text, label in rows]
    lines.append(json.dumps({"prompt": "A hat", "harmful": 1, "image": "a\0.png"}))
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    examples = read_examples(tmp_path / "p.jsonl", "prompt")
    assert [each.place for each in examples.found] == ["line 1", "line 2", "line 4", "line 5"]
    assert [each.partition(":")[0] for each in examples.left_out] == ["line 8", "line 3", "line 6", "line 7"]
    assert examples.left_out[1:3] == ("line 3: it repeats line 1", "line 6: the same prompt has both labels")


@pytest.mark.parametrize("name", ["coca?alpha=inf", "inferaligner?vectors=x&alpha=nan"])
def test_length_that_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(JuratError, match="alpha: Input should be a finite number"):
        open_defense(name)


# --- detoxifier -----------------------------------------------------------------------------------


def rewrites(folder: Path, *more: str) -> Path:
    pairs = [(text, other) for text in HARMFUL for other in (*HARMLESS, "A cat is visible")]
    rows = [f"What is it ?,{text},{other}" for text, other in pairs]
    (folder / "rewrites.csv").write_text("\n".join(("request,answer,rewritten", *rows, *more)))
    return folder / "rewrites.csv"


def test_detoxifier_learns_its_rows_and_is_opened_by_the_defense(
    tmp_path: Path, llava: Any, heads: Path
) -> None:
    found = read_rewrites(rewrites(tmp_path, "What is it ?,A dog,", "What is it ?,A dog", ",,"))
    assert (len(found.found), len(found.left_out)) == (12, 3)
    assert "line 14: there is no rewritten" in found.left_out
    model, lines = open_model(f"hf/{make_llava(tmp_path / 'before')}", device="cpu"), list[str]()
    fitted = fit_detoxifier(model, found, Schedule(epochs=6, rate=5e-3, batch=4), lines.append)
    assert (fitted.trained, fitted.watched, len(lines)) == (11, 1, 6)
    assert float(lines[-1].split()[-3]) < 0.7 * float(lines[0].split()[-3]), lines
    fitted.save(tmp_path / "after", found)
    told = json.loads((tmp_path / "after" / "detoxifier.json").read_text())
    assert told["rewrites"] == found.digest and told["model"] == fitted.origin and told["epochs"] == 6
    after = open_model(f"hf/{tmp_path}/after", device="cpu")
    asked = Chat((Turn("user", (rewriting("What is it ?", HARMFUL[0]),)),), Generation(max_tokens=5))
    assert texts(after, asked) != texts(open_model(f"hf/{tmp_path}/before", device="cpu"), asked)
    plain = ScriptedModel(Script(name="test", rules=(Rule(when="", reply=HARMFUL[0]),)))
    defense = Protector(
        head=f"{heads}/protector.safetensors",
        reader=llava.name,
        detoxifier=f"hf/{tmp_path}/after",
        harmful_above=0.0,
    )
    model = defense.over(plain)
    (reply,) = model.chat([chat("What is it ?", None)])
    assert reply.text == "I cannot help with that." and cost(model).events == {"rewritten": 1, "refused": 1}
    model.close()


def test_only_local_models_can_be_trained(tmp_path: Path) -> None:
    found = read_rewrites(rewrites(tmp_path))
    with pytest.raises(JuratError, match="The weights of 'null' cannot be trained"):
        fit_detoxifier(NullModel(), found)
    (tmp_path / "few.csv").write_text("request,answer,rewritten\na,b,c\n")
    with pytest.raises(JuratError, match=r"few.csv has 1 row that can be used"):
        read_rewrites(tmp_path / "few.csv")
