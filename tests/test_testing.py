"""All built-in backends conform, and `check_model` detects models that do not."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jurat.content import Chat, Failure, Generation, Reply, Turn, Usage
from jurat.judge.prompts import WORDINGS
from jurat.models import (
    Answer,
    ConcurrencySupport,
    Inquiry,
    MicroBatcher,
    Model,
    ModelWrapper,
    Serving,
    Vocabulary,
    YesNo,
    check_settings,
    open_model,
)
from jurat.models.null import NullModel
from jurat.testing import check_model, sample_chats, sample_inquiries

from .models import tiny
from .models.bundled_server import serving
from .models.decisions_server import DecisionRequest, DecisionsServer, decision, seeing
from .models.openai_server import Asked, Server, Told, completion

QUESTIONS = tuple(
    WORDINGS["statement"].ask(text)
    for text in ("A dog is visible.", "A child touches a knife.", "There are at least two cats.")
)


SHORT = Generation(max_tokens=5)


@dataclass(frozen=True)
class Inputs:
    """What a backend of ours can answer."""

    inquiries: tuple[Inquiry, ...] | None = None
    chats: tuple[Chat, ...] | None = None


def scenes() -> Inputs:
    """Scenes of the pictogram world, and one picture from outside it."""
    from jurat.pictograms import draw

    shown = [draw(np.random.default_rng(seed)).image for seed in range(2)]
    turns = [Turn("user", (image, WORDINGS["statement"].instruction)) for image in (*shown, tiny.picture(1))]
    inquiries = [Inquiry(Chat((turn,)), QUESTIONS[: 1 + i]) for i, turn in enumerate(turns)]
    inquiries.append(Inquiry(Chat((turns[0],)), ("A helicopter is visible.", QUESTIONS[0])))
    first, second = (Turn("user", (image, QUESTIONS[0])) for image in shown)
    chats = (Chat((first,), SHORT), Chat((second, Turn("assistant", ("A dog",))), SHORT))
    return Inputs(tuple(inquiries), chats)


def rules() -> Inputs:
    """Rules of the pictogram world; the last forbids nothing."""
    texts = ("No child may touch a beer.", "No dog may be visible.", "The sun shines.")
    return Inputs(None, tuple(Chat((Turn("user", (text,)),)) for text in texts))


OURS: dict[str, Callable[[], Inputs]] = {
    "null": Inputs,
    "null?fail=0.5&kind=refused": Inputs,
    "scripted/refuse": Inputs,
    "bundled": scenes,
    "naive": scenes,
    "bundled-writer": rules,
}


@pytest.mark.parametrize("name", OURS)
def test_built_in_backends_conform(name: str) -> None:
    inputs = OURS[name]()
    check_model(lambda: open_model(name, device="cpu"), inquiries=inputs.inquiries, chats=inputs.chats)


def test_a_micro_batcher_conforms() -> None:
    check_model(lambda: MicroBatcher(open_model("null"), wait=0))


def test_a_local_model_of_random_weights_conforms(tmp_path: Path) -> None:
    folder = tiny.make_llava(tmp_path / "llava")
    check_model(lambda: open_model(f"hf/{folder}", device="cpu"))


# --- a server ------------------------------------------------------------------------------------


def digest(asked: Asked, *more: object) -> int:
    return digest_of(json.dumps(asked.body["messages"]), *more)


def scripted(asked: Asked) -> Told:
    """A server with two-word replies drawn from the conversation; it honours every setting."""
    body = asked.body
    if body.get("logprobs"):
        yes = 0.05 + 0.9 * digest(asked) / 1000
        return completion("Yes" if yes > 0.5 else "No", {"Yes": yes, "No": 0.95 - yes, "The": 0.02})
    greedy = body.get("temperature", 0) == 0 or body.get("top_p", 1) < 0.3
    seed = 0 if greedy else body.get("seed", 0)
    words = ["red" if digest(asked, seed, place) % 2 else f"blue{place}" for place in range(6)]
    count = min(len(words), body.get("max_tokens") or body.get("max_completion_tokens") or 99)
    text = " ".join(words[:count])
    cuts = [text.find(stop) for stop in body.get("stop") or [] if stop in text]
    text = text[: min(cuts)].strip() if cuts else text
    finish = "stop" if cuts or count == len(words) else "length"
    return completion(text, finish=finish, usage=(50, len(text.split()), 0))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Server(scripted).running() as running:
        yield running


def test_openai_model_conforms(server: Server) -> None:
    check_model(lambda: open_model("openai/tiny-vision", base_url=server.url, serving=Serving(retries=0)))


def test_decisions_model_conforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    def script(asked: DecisionRequest) -> dict[str, Any]:
        if asked.is_check:
            return seeing(asked)
        shown = [image.getpixel((20, 20)) for image in asked.images]
        digests = [hashlib.sha256(repr((shown, q)).encode()).digest() for q in asked.questions]
        return decision(*(0.05 + 0.9 * digest[0] / 255 for digest in digests))

    with serving(DecisionsServer(script)) as url:
        check_model(lambda: open_model("decisions/tiny", base_url=url, serving=Serving(retries=0)))


def digest_of(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") % 900


# --- an empty reply ------------------------------------------------------------------------------


def test_an_empty_reply_is_the_same_from_every_backend(tmp_path: Path) -> None:
    """A model that ends at once gives the text "", no failure and the finish reason "stop"."""
    chat = Chat((Turn("user", ("Is it?",)),))
    with Server(lambda asked: completion(" ")).running() as running:
        served = open_model("openai/tiny-vision", base_url=running.url)
        assert said(served, chat) == ("", "stop", None)
        served.close()
    local = open_model(f"hf/{tiny.make_llava(tmp_path / 'llava')}", device="cpu")
    end = local.encoder.tokenizer.eos_token_id  # pyright: ignore[reportAttributeAccessIssue]

    def ends_at_once(ids: Any, scores: Any) -> Any:
        scores[:, :end] = scores[:, end + 1 :] = -float("inf")
        return scores

    assert said(local, replace(chat, generation=Generation(logits_processors=(ends_at_once,)))) == (
        "",
        "stop",
        None,
    )
    null = open_model("null")
    assert said(null, replace(chat, generation=Generation(stop=("The",)))) == ("", "stop", None)


def said(model: Model, chat: Chat) -> tuple[str, str | None, Failure | None]:
    (reply,) = model.chat([chat])
    return reply.text, reply.finish, reply.failure


# --- models that do not conform ------------------------------------------------------------------


class Sound(NullModel):
    """A conforming model; each class below breaks one requirement."""

    calls = 0


class Nameless(Sound):
    def __init__(self) -> None:
        super().__init__(name="")


class OddSettings(Sound):
    supported_settings = frozenset({*NullModel.supported_settings, "colour"})


class NoSettings(Sound):
    @property
    def supported_settings(self) -> Any:
        raise AttributeError("supported_settings")


class NeverEmpty(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return super().ask(inquiries) or [Answer()]


class OneAnswerTooFew(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [replace(answer, answers=answer.answers[1:]) for answer in super().ask(inquiries)]


class NoProbabilities(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [replace(a, answers=(YesNo(0.9, 0.9),) * len(a.answers)) for a in super().ask(inquiries)]


class StatesOneHalf(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [
            replace(a, answers=(YesNo(0.5, 0.5, stated=True),) * len(a.answers))
            for a in super().ask(inquiries)
        ]


class AnswersWithAFailure(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [replace(a, failure=Failure("error", "It failed.")) for a in super().ask(inquiries)]


class FailsForNoReason(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [Answer(failure=Failure("error", " ")) for _ in inquiries]


class TextWithAFailure(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [replace(r, failure=Failure("refused", "No.")) for r in super().chat(chats)]


class OddFinish(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [r if r.failure else replace(r, finish="eos") for r in super().chat(chats)]  # type: ignore[arg-type]


class CountsBackwards(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [replace(reply, usage=Usage(-1)) for reply in super().chat(chats)]


class ReversesBatches(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return super().ask(inquiries)[::-1]


class LooksAtNeighbours(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [replace(r, text=f"{len(chats)} {r.text}") for r in super().chat(chats)]


class TakesTheFirstChatsSettings(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return super().chat([replace(chat, generation=chats[0].generation) for chat in chats])


class Changes(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        self.calls += 1
        half = YesNo(0.5 + 1e-4 * self.calls, 0.4)
        return [replace(a, answers=(half,) * len(a.answers)) for a in super().ask(inquiries)]


class RaisesForABadImage(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        for inquiry in inquiries:
            for image in inquiry.prefix.images:
                image.load()
        return super().ask(inquiries)


class FailsAsAWhole(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        replies = super().chat(chats)
        failed = next((r for r in replies if r.failure), None)
        return replies if failed is None else [failed for _ in replies]


class TakesWrongValues(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return super().chat([_with(c, top_p=c.generation.top_p or 1.0) for c in chats])


class DropsSettings(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return super().chat([_with(chat, thinking=False, logits_processors=()) for chat in chats])


class IgnoresMaxTokens(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return super().chat([_with(c, max_tokens=c.generation.max_tokens and 99) for c in chats])


class IgnoresStop(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return super().chat([_with(c, stop=tuple(s for s in c.generation.stop if not s)) for c in chats])


class IgnoresTopP(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        replies = super().chat(chats)
        drawn = [0 < chat.generation.top_p < 0.5 for chat in chats]
        return [replace(r, text="Drawn.") if d and r.text else r for r, d in zip(replies, drawn, strict=True)]


class IgnoresSeed(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        self.calls += 1
        drawn = any(chat.generation.temperature > 0 for chat in chats)
        return [replace(r, text=f"{self.calls}") if drawn and r.text else r for r in super().chat(chats)]


class StopsAreLengths(Sound):
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [r if r.failure else replace(r, finish="length") for r in super().chat(chats)]


class IgnoresLogitsProcessors(Sound):
    supported_settings = frozenset({*NullModel.supported_settings, "logits_processors"})


class ClaimsAnything(Sound):
    def capability(self, kind: type) -> Any:
        return self


class WrongCapability(Sound):
    def capability(self, kind: type) -> Any:
        return "words" if kind is Vocabulary else None


class NotThreadSafe(Sound):
    """Answers the batch of whichever thread came last."""

    lanes = 2

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        import time

        self.calls += 1
        at_once = self.calls
        time.sleep(0.01)
        answers = super().ask(inquiries)
        return answers if self.calls == at_once else [replace(a, answers=a.answers[::-1]) for a in answers]

    def at_work(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()

    def capability(self, kind: type) -> Any:
        return self if kind is ConcurrencySupport else None


class PaintsOverImages(Sound):
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        answers = super().ask(inquiries)
        for inquiry in inquiries:
            for image in inquiry.prefix.images:
                _paint(image)
        return answers


class ChatsAllTheSame(Sound):
    can_chat = False


class ClosesOnce(Sound):
    def close(self) -> None:
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("closed already")


def _with(chat: Chat, **settings: Any) -> Chat:
    return replace(chat, generation=replace(chat.generation, **settings))


def _paint(image: Image.Image) -> None:
    try:
        image.putpixel((0, 0), (1, 2, 3))
    except OSError:
        return


FAULTS: dict[type[Sound], tuple[str, str]] = {
    Nameless: ("it_describes_itself", "name is ''"),
    OddSettings: ("it_describes_itself", "supported_settings names no settings: ['colour']"),
    NoSettings: ("a_bad_chat_changes_no_other", "it raised AttributeError: supported_settings"),
    NeverEmpty: ("an_empty_batch_has_no_results", "ask([]) is not []"),
    OneAnswerTooFew: ("every_inquiry_has_its_answer", "1 results for 2 questions"),
    NoProbabilities: ("every_inquiry_has_its_answer", "no probabilities"),
    StatesOneHalf: ("every_inquiry_has_its_answer", "stated, yet neither Yes nor No"),
    AnswersWithAFailure: ("every_inquiry_has_its_answer", "an answer with a failure has probabilities too"),
    FailsForNoReason: ("every_inquiry_has_its_answer", "a failure gives no reason"),
    TextWithAFailure: ("every_chat_has_its_reply", "a failed reply has text or a finish too"),
    OddFinish: ("every_chat_has_its_reply", "a finish reason is 'eos'"),
    CountsBackwards: ("every_chat_has_its_reply", "a usage is Usage(input_tokens=-1"),
    ReversesBatches: ("answers_in_batches_equal_single_ones", "answers in a batch differ"),
    LooksAtNeighbours: ("replies_in_batches_equal_single_ones", "replies in a batch differ"),
    TakesTheFirstChatsSettings: ("replies_in_batches_equal_single_ones", "replies in a batch differ"),
    Changes: ("it_repeats_itself", "answers change when asked again"),
    RaisesForABadImage: ("a_bad_inquiry_changes_no_other", "it raised OSError"),
    FailsAsAWhole: ("a_bad_chat_changes_no_other", "a bad chat changes others"),
    TakesWrongValues: ("a_bad_chat_changes_no_other", "a wrong setting is no failure"),
    DropsSettings: ("settings_are_honoured_or_refused", "thinking is neither supported nor refused"),
    IgnoresMaxTokens: ("honoured_settings_do_what_they_say", "max_tokens is 1, and 5 were written"),
    IgnoresStop: ("honoured_settings_do_what_they_say", "with the stop text 'null'"),
    StopsAreLengths: ("honoured_settings_do_what_they_say", "ended by a stop text has finish 'length'"),
    IgnoresTopP: ("honoured_settings_do_what_they_say", "with top_p near 0 the reply is not the greedy one"),
    IgnoresSeed: ("honoured_settings_do_what_they_say", "one seed gives different replies"),
    IgnoresLogitsProcessors: ("honoured_settings_do_what_they_say", "a logits processor was not called"),
    ClaimsAnything: ("capabilities_are_typed_or_none", "it claims a capability that it cannot know"),
    WrongCapability: ("capabilities_are_typed_or_none", "capability(Vocabulary) gives 'words'"),
    NotThreadSafe: ("concurrent_answers_equal_single_ones", "answers of concurrent calls differ"),
    PaintsOverImages: ("its_input_is_left_alone", "it changed an image"),
    ChatsAllTheSame: ("it_refuses_to_chat", "can_chat is False, and it chats"),
    ClosesOnce: ("closing_twice_is_no_error", "it raised RuntimeError: closed already"),
}


def test_a_sound_model_conforms() -> None:
    check_model(Sound)


@pytest.mark.parametrize("kind", FAULTS)
def test_check_model_names_the_fault(kind: type[Sound]) -> None:
    check, problem = FAULTS[kind]
    with pytest.raises(AssertionError) as raised:
        check_model(kind)
    lines = str(raised.value).splitlines()
    assert "is no conforming model" in lines[0]
    assert any(line.startswith(f"{check}: ") and problem in line for line in lines[1:]), lines


def test_a_model_without_any_setting_conforms() -> None:
    class Plain(Sound):
        supported_settings = frozenset()

    check_model(Plain)


def test_model_wrapper_conforms() -> None:
    check_model(lambda: ModelWrapper(open_model("null")))


def test_sample_inputs_are_distinct() -> None:
    assert len({repr(inquiry.questions) + str(inquiry.prefix.images) for inquiry in sample_inquiries()}) == 5
    assert len(sample_chats()) == 5
    check_settings(open_model("null"), sample_chats())


def test_importing_testing_loads_no_heavy_package() -> None:
    code = (
        "import sys, jurat.testing; print({'pytest', 'torch', 'transformers', 'openai'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
