"""Conformance tests of model backends: ours pass them, and a third party runs them in three lines.

from jurat.testing import check_model

def test_my_backend():
    check_model(lambda: open_model("acme/x"))
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast, get_args, runtime_checkable

from PIL import Image, ImageDraw

from jurat.content import Chat, Failure, FailureKind, FinishReason, Generation, Reply, Turn, Usage
from jurat.errors import JuratError
from jurat.models import (
    Answer,
    ConcurrencySupport,
    Inquiry,
    Model,
    ModelError,
    UnsupportedSetting,
    YesNo,
    capabilities,
)
from jurat.models.protocol import SETTINGS

__all__ = [
    "CHAT_CHECKS",
    "CHECKS",
    "LAST_CHECKS",
    "check_model",
    "sample_chats",
    "sample_images",
    "sample_inquiries",
]

_INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."
_OTHER_VALUES: dict[str, Any] = {
    "max_tokens": 4,
    "temperature": 0.7,
    "top_p": 0.5,
    "seed": 7,
    "stop": ("\n",),
    "thinking": True,
    "logits_processors": (lambda ids, scores: scores,),  # pyright: ignore[reportUnknownLambdaType]
}
"""For each setting a value that is not its default."""
_WRONG_VALUES: dict[str, Any] = {
    "max_tokens": 0,
    "temperature": -1.0,
    "top_p": 0.0,
    "seed": "x",
    "stop": ("",),
}
_CAPABILITIES = tuple(
    kind for kind in vars(capabilities).values() if getattr(kind, "_is_runtime_protocol", False)
)


@dataclass(frozen=True)
class Case:
    """What the checks are run on."""

    model: Model
    inquiries: tuple[Inquiry, ...]
    chats: tuple[Chat, ...]
    tolerance: float
    pixels: list[bytes]
    """Bytes of all images, as they were given."""


Check = Callable[[Case], None]


def check_model(
    open: Callable[[], Model],
    *,
    inquiries: Sequence[Inquiry] | None = None,
    chats: Sequence[Chat] | None = None,
    tolerance: float = 1e-3,
) -> None:
    """Opens a model, runs the checks of this module on it, and closes it.

    Args:
        open: opens the model.
        inquiries: what it is asked, two at least, different from each other; `sample_inquiries` if left out.
            Give those that the model can answer: of failures there is little to check.
        chats: what it continues, likewise; `sample_chats` if left out. Settings that it does not support are
            left out.
        tolerance: by how much a probability in a batch may differ from that of a single call.

    Raises:
        AssertionError: a line for each check that failed.
    """
    model = open()
    asked = tuple(sample_inquiries() if inquiries is None else inquiries)
    can_chat = getattr(model, "can_chat", True)
    given = () if not can_chat else sample_chats() if chats is None else chats
    continued = tuple(_supported(model, chat) for chat in given)
    case = Case(model, asked, continued, tolerance, _pixels(asked, continued))
    problems: list[str] = []
    chat_checks = CHAT_CHECKS if can_chat else (it_refuses_to_chat,)
    for check in (*CHECKS, *chat_checks, *LAST_CHECKS):
        try:
            check(case)
        except AssertionError as error:
            problems.append(f"{check.__name__}: {error}")
        except Exception as error:
            problems.append(f"{check.__name__}: it raised {type(error).__name__}: {error}")
    if problems:
        raise AssertionError(f"{case.model.name} is no conforming model:\n" + "\n".join(problems))


def sample_images(count: int = 3) -> list[Image.Image]:
    """Plain pictures that differ: a rectangle on a ground of one colour."""
    images: list[Image.Image] = []
    for number in range(count):
        image = Image.new("RGB", (64, 48 + 16 * (number % 2)), (230, 230 - 60 * number % 200, 210))
        place = (8 + 8 * number % 24, 10, 40 + 4 * number % 20, 40)
        ImageDraw.Draw(image).rectangle(place, fill=(200 - 70 * number % 180, 40, 60 * number % 255))
        images.append(image)
    return images


def sample_inquiries(images: Sequence[Image.Image] | None = None) -> list[Inquiry]:
    """Two questions about each image (`sample_images` if left out) and without any; one about the first."""
    shown = sample_images() if images is None else images
    questions = ("Statement: A red rectangle is visible.", "Statement: A dog is visible.")
    about = [Chat((Turn("user", (*some, _INSTRUCTION)),)) for some in (*((image,) for image in shown), ())]
    return [*(Inquiry(prefix, questions) for prefix in about), Inquiry(about[0], questions[1:])]


def sample_chats(images: Sequence[Image.Image] | None = None) -> list[Chat]:
    """Conversations with and without images, with a system turn, with images in several turns, with settings
    of their own, and one whose last turn is to be continued."""
    first, *others = sample_images() if images is None else images
    user = Turn("user", (first, "What is this?"))
    brief = Turn("system", ("Be brief.",))
    answered = (user, Turn("assistant", ("A rectangle.",)), Turn("user", (others[-1], "And this?")))
    return [
        Chat((user,), Generation(max_tokens=16)),
        Chat((Turn("user", ("Say hello.",)),), Generation(max_tokens=3)),
        Chat((brief, Turn("user", (others[0], "Describe it."))), Generation(12, temperature=0.8, seed=3)),
        Chat(answered, Generation(max_tokens=16)),
        Chat((user, Turn("assistant", ("This is",))), Generation(max_tokens=16)),
    ]


# --- the checks ----------------------------------------------------------------------------------


def it_describes_itself(case: Case) -> None:
    """Name, revision and dtype are text, and its settings are settings."""
    model = case.model
    for name in ("name", "revision", "dtype"):
        value = getattr(model, name, None)
        _need(isinstance(value, str) and value != "", f"{name} is {value!r}, not text")
    for verb in ("ask", "chat", "capability", "close"):
        _need(callable(getattr(model, verb, None)), f"it has no {verb}")
    unknown = set(getattr(model, "supported_settings", ())) - set(SETTINGS)
    _need(not unknown, f"supported_settings names no settings: {sorted(unknown)}")


def an_empty_batch_has_no_results(case: Case) -> None:
    _need(case.model.ask([]) == [], "ask([]) is not []")
    _need(not case.chats or case.model.chat([]) == [], "chat([]) is not []")


def every_inquiry_has_its_answer(case: Case) -> None:
    """One `Answer` for each inquiry, one `YesNo` for each question, probabilities that are some."""
    for inquiry, answer in zip(case.inquiries, _asked(case, case.inquiries), strict=True):
        _check_usage(answer.usage)
        _check_failure(answer.failure)
        if answer.failure is not None:
            _need(not answer.answers, "an answer with a failure has probabilities too")
            continue
        count = len(answer.answers)
        _need(count == len(inquiry.questions), f"{count} results for {len(inquiry.questions)} questions")
        for one in answer.answers:
            _check_yes_no(one, answer)


def every_chat_has_its_reply(case: Case) -> None:
    """One `Reply` for each chat: text or a failure, and a finish reason that is one."""
    for reply in _continued(case, case.chats):
        _check_usage(reply.usage)
        _check_failure(reply.failure)
        _need(isinstance(cast(object, reply.text), str), f"a reply's text is {reply.text!r}")
        _need(reply.finish in (None, *get_args(FinishReason)), f"a finish reason is {reply.finish!r}")
        if reply.failure is not None:
            _need(reply.text == "" and reply.finish is None, "a failed reply has text or a finish too")


def answers_in_batches_equal_single_ones(case: Case) -> None:
    """An answer depends neither on the order of its batch nor on the other inquiries in it."""
    singles = [answer for inquiry in case.inquiries for answer in _asked(case, [inquiry])]
    together = _asked(case, case.inquiries)
    _need(_alike(singles, together, case.tolerance), "answers in a batch differ from those of single calls")
    back = _asked(case, case.inquiries[::-1])[::-1]
    _need(_alike(singles, back, case.tolerance), "answers depend on the order of a batch")


def replies_in_batches_equal_single_ones(case: Case) -> None:
    singles = [_gist(reply) for chat in case.chats for reply in _continued(case, [chat])]
    together = [_gist(reply) for reply in _continued(case, case.chats)]
    _need(singles == together, "replies in a batch differ from those of single calls")
    back = [_gist(reply) for reply in _continued(case, case.chats[::-1])][::-1]
    _need(singles == back, "replies depend on the order of a batch")


def it_repeats_itself(case: Case) -> None:
    """Asked again it answers the same, and continues the same at temperature 0 or with a seed."""
    first, second = (_asked(case, case.inquiries) for _ in range(2))
    _need(_alike(first, second, 1e-6), "answers change when asked again")
    texts = [[_gist(reply) for reply in _continued(case, case.chats)] for _ in range(2)]
    _need(texts[0] == texts[1], "replies change when asked again")


def a_bad_inquiry_changes_no_other(case: Case) -> None:
    """One with an image that cannot be read, with no conversation, or with no question."""
    good = case.inquiries[0]
    alone = _asked(case, [good])
    unreadable = replace(good, prefix=_unreadable())
    for bad in (unreadable, replace(good, prefix=Chat()), replace(good, questions=())):
        first, found, last = _asked(case, [good, bad, good])
        _need(_alike(alone * 2, [first, last], case.tolerance), "a bad inquiry changes others")
        _need(bad is not unreadable or found.failure is not None, "an unreadable image is no failure")


def a_bad_chat_changes_no_other(case: Case) -> None:
    """One with an image that cannot be read, or with a setting of an impossible value."""
    chat = case.chats[0]
    text = _gist(_continued(case, [chat])[0])
    wrong = [
        replace(chat, generation=replace(chat.generation, **{name: value}))
        for name, value in _WRONG_VALUES.items()
        if name in case.model.supported_settings
    ]
    for bad in (_unreadable(), *wrong):
        first, found, last = _continued(case, [chat, bad, chat])
        _need(
            found.failure is not None,
            f"an unreadable image or a wrong setting is no failure: {bad.generation}",
        )
        _need(_gist(first) == text == _gist(last), "a bad chat changes others")
    _continued(case, [Chat(), chat])


def settings_are_honoured_or_refused(case: Case) -> None:
    """A setting that is not in `supported_settings` raises before anything runs; one that is does not."""
    for name, value in _OTHER_VALUES.items():
        chat = replace(case.chats[0], generation=Generation(**{name: value}))
        if name in case.model.supported_settings:
            _continued(case, [chat])
            continue
        try:
            case.model.chat([replace(chat, generation=Generation()), chat])
        except UnsupportedSetting as error:
            _need(name in str(error), f"the refusal of {name} does not name it: {error}")
        else:
            raise AssertionError(f"{name} is neither supported nor refused")


def honoured_settings_do_what_they_say(case: Case) -> None:
    for number, chat in enumerate(case.chats):
        full = _with(case, chat)
        if full.failure is None and full.text:
            if "max_tokens" in case.model.supported_settings:
                _check_max_tokens(case, chat, full)
            if "stop" in case.model.supported_settings:
                _check_stop(case, chat, full)
            if number == 0:
                _check_sampling(case, chat, full)


def capabilities_are_typed_or_none(case: Case) -> None:
    _need(case.model.capability(_UnknownCapability) is None, "it claims a capability that it cannot know")
    for kind in _CAPABILITIES:
        try:
            found: object = case.model.capability(kind)
        except ModelError as refused:  # a model of a kind that has it, which says why this one has not
            _need(bool(refused.message), f"capability({kind.__name__}) is refused without a reason")
            continue
        _need(found is None or isinstance(found, kind), f"capability({kind.__name__}) gives {found!r}")


def concurrent_answers_equal_single_ones(case: Case) -> None:
    """Checked where the model has `ConcurrencySupport`."""
    support = case.model.capability(ConcurrencySupport)
    if support is None or support.lanes < 2:
        return
    expected = _asked(case, case.inquiries)

    def asked_at_work(inquiries: Sequence[Inquiry]) -> Any:
        with support.at_work():
            return _asked(case, inquiries)

    with ThreadPoolExecutor(support.lanes) as pool:
        for answers in pool.map(asked_at_work, [case.inquiries] * (2 * support.lanes)):
            _need(
                _alike(answers, expected, case.tolerance),
                "answers of concurrent calls differ from those of a single one",
            )


def its_input_is_left_alone(case: Case) -> None:
    """No check before this one changed an image."""
    _need(_pixels(case.inquiries, case.chats) == case.pixels, "it changed an image that it was given")


def closing_twice_is_no_error(case: Case) -> None:
    case.model.close()
    case.model.close()


def it_refuses_to_chat(case: Case) -> None:
    """Checked where `can_chat` is False."""
    try:
        case.model.chat([Chat((Turn("user", ("Hello.",)),))])
    except JuratError:
        return
    raise AssertionError("can_chat is False, and it chats")


CHECKS: tuple[Check, ...] = (
    it_describes_itself,
    capabilities_are_typed_or_none,
    an_empty_batch_has_no_results,
    every_inquiry_has_its_answer,
    answers_in_batches_equal_single_ones,
    a_bad_inquiry_changes_no_other,
    concurrent_answers_equal_single_ones,
    it_repeats_itself,
)
CHAT_CHECKS: tuple[Check, ...] = (
    every_chat_has_its_reply,
    replies_in_batches_equal_single_ones,
    a_bad_chat_changes_no_other,
    settings_are_honoured_or_refused,
    honoured_settings_do_what_they_say,
)
"""Checks of models that can chat; for others `it_refuses_to_chat` takes their place."""
LAST_CHECKS: tuple[Check, ...] = (its_input_is_left_alone, closing_twice_is_no_error)


# --- what they are made of -----------------------------------------------------------------------


@runtime_checkable
class _UnknownCapability(Protocol):
    """A capability that no model has."""

    def never_heard_of(self) -> None: ...


def _need(condition: bool, problem: str) -> None:
    if not condition:
        raise AssertionError(problem)


def _supported(model: Model, chat: Chat) -> Chat:
    """The chat with its settings as far as the model supports them; without a seed nothing is drawn."""
    supported: set[str] = set(getattr(model, "supported_settings", ()))
    supported -= set() if "seed" in supported else {"temperature"}
    kept = {name: getattr(chat.generation, name) for name in SETTINGS if name in supported}
    return replace(chat, generation=Generation(**kept))


def _pixels(inquiries: Sequence[Inquiry], chats: Sequence[Chat]) -> list[bytes]:
    chats = [*(inquiry.prefix for inquiry in inquiries), *chats]
    return [image.tobytes() for chat in chats for image in chat.images]


def _asked(case: Case, inquiries: Sequence[Inquiry]) -> list[Answer]:
    return _list_of(case.model.ask(inquiries), len(inquiries), Answer)


def _continued(case: Case, chats: Sequence[Chat]) -> list[Reply]:
    return _list_of(case.model.chat(chats), len(chats), Reply)


def _list_of(found: Any, count: int, kind: type[Any]) -> list[Any]:
    _need(isinstance(found, list) and len(found) == count, f"no list of {count} results: {found!r}")
    _need(all(isinstance(one, kind) for one in found), f"something else than {kind.__name__}: {found!r}")
    return found


def _with(case: Case, chat: Chat, **settings: Any) -> Reply:
    return _continued(case, [replace(chat, generation=replace(chat.generation, **settings))])[0]


def _check_usage(usage: Usage) -> None:
    counts = (usage.input_tokens, usage.output_tokens, usage.shared_tokens)
    _need(all(type(count) is int and count >= 0 for count in counts), f"a usage is {usage}")
    _need(usage.money is None or 0 <= usage.money < math.inf, f"a usage is {usage}")


def _check_failure(failure: Failure | None) -> None:
    if failure is not None:
        _need(failure.kind in get_args(FailureKind), f"a failure's kind is {failure.kind!r}")
        _need(failure.reason.strip() != "", "a failure gives no reason")
        _check_usage(failure.usage)


def _check_yes_no(one: YesNo, answer: Answer) -> None:
    _check_failure(one.failure)
    if one.failure is not None:
        return
    _need(one.sound, f"no probabilities: {one}")
    _need(not one.stated or (one.yes, one.no) in ((1, 0), (0, 1)), f"stated, yet neither Yes nor No: {one}")
    _need(answer.basis in ("measured", "stated"), f"a basis is {answer.basis!r}")


def _check_max_tokens(case: Case, chat: Chat, full: Reply) -> None:
    short = _with(case, chat, max_tokens=1)
    if short.failure is not None:
        return
    _need(short.usage.output_tokens <= 1, f"max_tokens is 1, and {short.usage.output_tokens} were written")
    _need(len(short.text.split()) <= 1, f"max_tokens is 1, and the reply is {short.text!r}")
    cut = len(full.text.split()) > 1
    _need(
        not cut or short.finish in (None, "length"), f"a reply that was cut off finished by {short.finish!r}"
    )


def _check_stop(case: Case, chat: Chat, full: Reply) -> None:
    words = full.text.split()
    if len(words) < 2:
        return
    stop = words[1]
    reply = _with(case, chat, stop=("never written", stop))
    wanted = full.text[: full.text.index(stop)].strip()
    _need(reply.text.strip() == wanted, f"with the stop text {stop!r}, {full.text!r} became {reply.text!r}")
    _need(reply.finish in (None, "stop"), f"a reply ended by a stop text has finish {reply.finish!r}")


def _check_sampling(case: Case, chat: Chat, full: Reply) -> None:
    supported = case.model.supported_settings
    if {"temperature", "seed"} <= set(supported):
        drawn = {_with(case, chat, temperature=1.0, seed=7).text for _ in range(2)}
        _need(len(drawn) == 1, "one seed gives different replies")
    if {"temperature", "top_p"} <= set(supported):
        reply = _with(case, chat, temperature=1.0, top_p=1e-6)
        _need(reply.text == full.text, "with top_p near 0 the reply is not the greedy one")
    if "logits_processors" in supported:
        calls: list[int] = []

        def count(ids: Any, scores: Any) -> Any:
            calls.append(1)
            return scores

        _with(case, chat, logits_processors=(count,))
        _need(bool(calls), "a logits processor was not called")


def _alike(some: Sequence[Answer], others: Sequence[Answer], tolerance: float) -> bool:
    """Whether answers are equal but for rounding."""
    return all(_close(one, other, tolerance) for one, other in zip(some, others, strict=True))


def _close(one: Answer, other: Answer, tolerance: float) -> bool:
    """Whether two answers are equal but for rounding."""
    if _kind(one.failure) != _kind(other.failure) or len(one.answers) != len(other.answers):
        return False
    return all(
        _kind(a.failure) == _kind(b.failure)
        and a.stated == b.stated
        and abs(a.yes - b.yes) <= tolerance
        and abs(a.no - b.no) <= tolerance
        for a, b in zip(one.answers, other.answers, strict=True)
    )


def _gist(reply: Reply) -> tuple[str, str | None, str | None]:
    return reply.text, reply.finish, _kind(reply.failure)


def _kind(failure: Failure | None) -> str | None:
    return None if failure is None else failure.kind


def _unreadable() -> Chat:
    """A conversation with an image whose pixels cannot be decoded: its file ends too early."""
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 80).convert("RGB").save(whole, "PNG")
    image = Image.open(io.BytesIO(whole.getvalue()[:300]))
    return Chat((Turn("user", (image, _INSTRUCTION)),))
