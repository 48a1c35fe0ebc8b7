"""Nulls: what a question is asked of to learn what its words alone make a model answer.

No image at all is off the training data of most models, and some never answer without one. So the language
prior can be learned on a grey image and on the judged image itself, blurred until nothing in it can be told,
as well; of what was answered the mean in log-odds is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from PIL import Image, ImageFilter

from jurat.judge.odds import sigmoid
from jurat.judge.plan import Question
from jurat.judge.quick import Answers, Want, ask, attempt
from jurat.judge.views import averaged
from jurat.models import Failure, Model, YesNo

SIDE = 224
"""Of the grey image, in pixels."""
GREY = (128, 128, 128)
BLUR = 0.25
"""Standard deviation of the blur, as a share of the image's longer side."""


def grey() -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE), GREY)


def blurred(image: Image.Image) -> Image.Image:
    """The image, of its own size, with nothing left but its broad colours."""
    # Blurred small and drawn large again: the same to the eye, and quick for any size.
    small = image.convert("RGB").resize((32, 32), Image.Resampling.BOX)
    return small.filter(ImageFilter.GaussianBlur(32 * BLUR)).resize(image.size, Image.Resampling.BICUBIC)


class GreyPriors:
    """The model's answers about the grey image, each asked once and kept; one that failed with an error is
    asked again the next time. They are not those of `Priors`, which remembers answers to no image at all."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._kept: dict[Question, YesNo] = {}
        self._asking = Lock()

    def of(self, questions: Sequence[Question]) -> Answers:
        """Never raises because of the model: what went wrong is a failure in the answers. A thread waits for
        what another one asks."""
        with self._asking:
            return self._of(questions)

    def _of(self, questions: Sequence[Question]) -> Answers:
        missing = tuple(question for question in questions if question not in self._kept)
        if not missing:
            return self._kept
        (entry,) = attempt(lambda wants: ask(self._model, wants), [Want(grey(), missing)])
        if isinstance(entry, Failure):
            found: Answers = {question: YesNo(0.0, 0.0, entry) for question in missing}
        else:
            found = entry.answers
        lasting = {q: a for q, a in found.items() if a.failure is None or a.failure.kind != "error"}
        self._kept.update(lasting)
        return {**self._kept, **found}


def mean_prior(answers: Sequence[YesNo | None], answered: Callable[[YesNo | None], bool]) -> YesNo | None:
    """The mean, in log-odds, of what was answered; else the first answer, whatever is wrong with it.

    One that failed with an error may be had another time, so then there is no mean without it.
    """
    failed = next((a for a in answers if a is not None and a.failure and a.failure.kind == "error"), None)
    if failed is not None:
        return failed
    usable = [answer for answer in answers if answer is not None and answered(answer)]
    if not usable:
        return next((answer for answer in answers if answer is not None), None)
    share = sigmoid(averaged(usable))
    return YesNo(share, 1 - share)
