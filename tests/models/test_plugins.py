"""Third-party models: their exceptions name the plug-in, without control characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from jurat.content import Chat, Failure, Turn
from jurat.errors import JuratError
from jurat.models import Answer, Inquiry, ModelError, ModelUnavailable, list_backends, open_model
from jurat.models.registry import Backend
from jurat.models.vision import open_detector, open_matcher
from jurat.registry import PlugInError, blamed

from . import tiny

ESCAPE = "\\x1b[31m"

MODEL = """
from jurat.errors import JuratError
from jurat.models import Answer, Model, ModelError, ModelUnavailable, YesNo
from jurat.content import Reply
calls = []
class Acme(Model):
    name, revision, dtype = "acme", "1", "none"
    def ask(self, inquiries):
        calls.append(len(inquiries))
        texts = [inquiry.questions[0] for inquiry in inquiries]
        BODY
        return [Answer((YesNo(0.9, 0.1),) * len(inquiry.questions)) for inquiry in inquiries]
    def chat(self, chats):
        raise RuntimeError("no chat \\x1b[2J")
    def extra(self):
        return 7
def open_acme(spec):
    return Acme()
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a plug-in of this source, with the entry point `acme`."""

    def install(source: str, target: str = "acme_source:open_acme", kind: str = "models") -> None:
        info = tmp_path / "acme_models-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-models\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[jurat.{kind}]\nacme = {target}\n")
        (tmp_path / "acme_source.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(__import__("sys").modules, "acme_source", raising=False)

    return install


def inquiries(*questions: str) -> list[Inquiry]:
    return [Inquiry(Chat((Turn("user", (tiny.picture(1),)),)), (question,)) for question in questions]


OPENING = {
    "raises when imported": (
        f"raise ValueError('no {ESCAPE} licence')",
        "cannot be imported: ValueError: no",
    ),
    "exits when imported": ("import sys; sys.exit('bye')", "cannot be imported: SystemExit: bye"),
    "does not compile": ("def (", "cannot be imported: SyntaxError"),
    "lacks the function": ("", "cannot be imported: AttributeError"),
    "is no function": ("open_acme = 3", "cannot be used: acme_source:open_acme is no function"),
    "raises when opened": (
        f"def open_acme(spec): raise KeyError('x{ESCAPE}')",
        "could not open 'acme/x': KeyError",
    ),
    "opens nothing": ("def open_acme(spec): pass", "opened something that is no model: it lacks name"),
    "opens half a model": (
        "class M:\n name = revision = 'x'\n dtype = property(lambda s: 1 / 0)\n ask = chat = print\n"
        "open_acme = lambda spec: M()",
        "it lacks dtype, capability, close",
    ),
}


@pytest.mark.parametrize("case", OPENING)
def test_unopenable_plug_in_is_named(case: str, acme: Callable[..., None]) -> None:
    source, told = OPENING[case]
    acme(source)
    with pytest.raises(ModelError) as raised:
        open_model("acme/x")
    message = str(raised.value)
    assert message.startswith("The plug-in 'acme' of acme-models ") and told in message
    assert "\x1b" not in message and "no fault of jurat" in message


def test_jurat_error_of_a_plug_in_is_passed_on(acme: Callable[..., None]) -> None:
    acme(
        "from jurat.errors import JuratError\n"
        "def open_acme(spec): raise JuratError('Set ACME_KEY.', hint='See acme.')"
    )
    with pytest.raises(JuratError) as raised:
        open_model("acme")
    assert (raised.value.message, raised.value.exit_code) == ("Set ACME_KEY.", 2)


ASKING = {
    "raises": ("if 'bad' in texts: raise ValueError('a \\x1b[31m b\\nc')", "ValueError: a ?[31m b c"),
    "raises our error": ("if 'bad' in texts: raise ModelError('no')", "ModelError: no"),
    "gives too few": ("if 'bad' in texts: return []", "it gave no list of one Answer an item"),
    "gives nothing": ("if 'bad' in texts: return None", "it gave no list of one Answer an item"),
    "gives something else": ("if 'bad' in texts: return texts", "it gave no list of one Answer an item"),
}


@pytest.mark.parametrize("case", ASKING)
def test_item_that_fails_in_a_plug_in_fails_alone(case: str, acme: Callable[..., None]) -> None:
    body, told = ASKING[case]
    acme(MODEL.replace("BODY", body))
    model = open_model("acme")
    answers = model.ask(inquiries("good", "bad", "good"))
    assert [answer.failure is None for answer in answers] == [True, False, True]
    assert answers[0].answers[0].yes == 0.9
    failure = answers[1].failure
    assert failure is not None and failure.kind == "error"
    assert failure.reason == f"the plug-in 'acme' of acme-models: {told}"
    (reply,) = model.chat([Chat((Turn("user", ("x",)),))])
    assert reply.failure is not None and "RuntimeError: no chat ?[2J" in reply.failure.reason


def test_batch_without_a_fault_is_one_call(
    acme: Callable[..., None],
) -> None:
    acme(MODEL.replace("BODY", ""))
    model = open_model("acme")
    assert len(model.ask(inquiries("a", "b", "c"))) == 3
    assert (model.name, model.revision, model.dtype, model.extra()) == ("acme", "1", "none", 7)  # pyright: ignore[reportAttributeAccessIssue]
    assert __import__("acme_source").calls == [3]


@pytest.mark.parametrize("error", ["ModelUnavailable('gone')", "JuratError('stop')"])
def test_plug_in_may_stop_the_run(error: str, acme: Callable[..., None]) -> None:
    acme(MODEL.replace("BODY", f"raise {error}"))
    with pytest.raises((ModelUnavailable, JuratError), match=r"gone|stop"):
        open_model("acme").ask(inquiries("a", "b"))


def test_exception_from_a_plug_in_module_names_the_plug_in(acme: Callable[..., None]) -> None:
    acme("def work(): raise ValueError('x')\ndef open_acme(spec): pass\n")
    assert list_backends()[-1].name == "acme"
    try:
        __import__("acme_source").work()
    except ValueError as error:
        assert blamed(error) == "the plug-in 'acme' of acme-models"
    try:
        Answer(1, 2, 3, 4, 5)  # pyright: ignore
    except TypeError as error:
        assert blamed(error) is None


def test_listing_survives_hostile_names(acme: Callable[..., None]) -> None:
    acme("", "no module at all")
    listed: Sequence[Backend] = list_backends()
    assert [backend.provider for backend in listed if backend.name == "acme"] == ["acme-models"]
    with pytest.raises(ModelError, match="The plug-in 'acme' of acme-models cannot be imported"):
        open_model("acme")


VISION = """
class Eyes:
    name, revision, relevant_above = "acme", "1", 0.2
    def detect(self, images, words):
        return [self._one(image) for image in images]
    def match(self, images, texts):
        return [[0.5 for _ in texts] if self._one(image) == [] else None for image in images]
    def _one(self, image):
        if image.size == (1, 1):
            raise ValueError("too small")
        return []
def open_acme(reference, device):
    return Eyes()
"""


@pytest.mark.parametrize("kind", ["detectors", "matchers"])
def test_image_that_fails_in_a_plug_in_detector_or_matcher_fails_alone(
    kind: str, acme: Callable[..., None]
) -> None:
    acme(VISION, kind=kind)
    images = [tiny.picture(1), Image.new("RGB", (1, 1)), tiny.picture(2)]
    if kind == "detectors":
        rows = open_detector("acme/x").detect(images, [["dog"]] * 3)
    else:
        rows = open_matcher("acme").match(images, ["A dog."])
    good, bad = ([], [0.5])[kind == "matchers"], rows[1]
    assert (rows[0], rows[2]) == (good, good)
    assert isinstance(bad, Failure)
    assert bad.reason == "the plug-in 'acme' of acme-models: ValueError: too small"


def test_detector_without_a_method_is_refused(acme: Callable[..., None]) -> None:
    acme("open_acme = lambda reference, device: None", kind="detectors")
    with pytest.raises(
        PlugInError, match="opened something that is no detector: it lacks name, revision, detect"
    ):
        open_detector("acme")
