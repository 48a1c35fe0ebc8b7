"""A model's answers about a user's images, which a calibration is fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, cast

from jurat.content import Failure, Item
from jurat.judge.asking import Answers, ImageQuestions, PriorAnswers, ask, attempt
from jurat.judge.evidence import Evidence
from jurat.judge.loading import Loaded, load_item
from jurat.judge.questions import Question
from jurat.judge.stages.views import DIAGONALS, shifted
from jurat.models import StatementReader, Vocabulary, YesNo

if TYPE_CHECKING:
    from PIL.Image import Image

    from jurat.judge.judge import Judge

_FILE = files("jurat.judge.calibrate").joinpath("reference_statements.txt")
REFERENCE = tuple(_FILE.read_text("utf-8").splitlines())
"""Statements about everyday things, on which a model's language prior is measured.

They are the same for every constitution, so that editing a rule never changes how another rule's statements
are debiased. The bundled model knows their words.
"""


@dataclass(frozen=True)
class PictureAnswers:
    """A model's answers about one picture, and about shifted copies of it."""

    item: str
    """Id of the item that the picture belongs to."""
    digest: str
    answers: Answers
    views: Mapping[Question, tuple[YesNo, ...]] = field(default_factory=dict[Question, tuple[YesNo, ...]])
    """The answers on shifted copies; only for labelled pictures, where the preset has views."""
    labelled: bool = False
    """Whether it is an image with a label; False for frames of videos and animations."""

    def evidence(self, priors: Answers) -> Evidence:
        evidence = Evidence(priors=priors)
        evidence.answers.update(self.answers)
        evidence.found["views"].update(self.views)
        return evidence


@dataclass(frozen=True)
class _Picture:
    """A picture to be asked about."""

    questions: ImageQuestions
    item: str
    digest: str
    labelled: bool
    stands_for_item: bool = True
    """False for all frames of a video except the middle one."""
    video: bool = False
    """Whether it is a frame of a labelled video."""


class ImageAnswers:
    """The answers to all questions about all images."""

    def __init__(self, judge: Judge, labelled: frozenset[str] = frozenset()) -> None:
        """`labelled`: ids of the items with labels."""
        self._judge = judge
        self._labelled = labelled
        self.own = tuple(q for q in judge.questions if q.sees_image and q.reads is None)
        """Questions of the constitution about images."""
        self.reference = _reference_questions(judge)
        self.questions = tuple(dict.fromkeys((*self.own, *self.reference)))
        self.pictures: list[PictureAnswers] = []
        """Answers about one picture for each item; a video is represented by its middle frame."""
        self.videos: dict[str, list[PictureAnswers]] = {}
        """Item id -> answers about the frames of a labelled video; videos with an unanswered frame are left
        out."""
        self.failed = 0
        self.foreign = 0
        """Number of failed images that the model refused as outside its domain."""
        self.priors = PriorAnswers(judge.model).of(self.questions)

    def gather(self, items: Iterable[Item]) -> None:
        batch: list[_Picture] = []
        for item in items:
            loaded = load_item(item, self._judge.sampling)
            if loaded.error is not None:
                self.failed += 1
                continue
            batch += self._pictures_of(loaded)
            if len(batch) >= self._judge.batch_size:
                self._ask(batch)
                batch = []
        self._ask(batch)

    def _pictures_of(self, loaded: Loaded) -> Sequence[_Picture]:
        """The first frame of an image; the middle frame of a video, or all of its frames if it is
        labelled."""
        frames = [ImageQuestions(frame, self.questions) for frame in loaded.frames]
        item, digest, labelled = loaded.id, loaded.sha256 or "", loaded.id in self._labelled
        if loaded.kind != "video":
            return [_Picture(frames[0], item, digest, labelled and len(frames) == 1)]
        middle = len(frames) // 2
        if not labelled:
            return [_Picture(frames[middle], item, digest, labelled=False)]
        self.videos[item] = []
        return [
            _Picture(frame, item, digest, True, at == middle, video=True) for at, frame in enumerate(frames)
        ]

    def _ask(self, batch: Sequence[_Picture]) -> None:
        answered = attempt(lambda some: ask(self._judge.model, some), [each.questions for each in batch])
        views = self._views(batch)
        for picture, entry in zip(batch, answered, strict=True):
            if isinstance(entry, Failure):
                self.failed += picture.stands_for_item
                self.foreign += picture.stands_for_item and entry.kind == "out_of_domain"
                if picture.video:
                    self.videos.pop(picture.item, None)
                continue
            answers = PictureAnswers(
                picture.item,
                picture.digest,
                entry.answers,
                views.get(id(picture), {}),
                picture.labelled and not picture.video,
            )
            if picture.video and picture.item in self.videos:
                self.videos[picture.item].append(answers)
            if picture.stands_for_item:
                self.pictures.append(answers)

    def _views(self, batch: Sequence[_Picture]) -> dict[int, Mapping[Question, tuple[YesNo, ...]]]:
        """The answers on shifted copies of each labelled picture, by its identity, where all were answered.

        All statements are asked about: which ones are uncertain depends on what is still to be fitted.
        """
        if self._judge.preset.views is None or not self.own:
            return {}
        labelled = [picture for picture in batch if picture.labelled]
        copies = [
            ImageQuestions(copy, self.own)
            for picture in labelled
            for copy in shifted(cast("Image", picture.questions.image))
        ]
        entries = iter(attempt(lambda some: ask(self._judge.model, some), copies))
        views: dict[int, Mapping[Question, tuple[YesNo, ...]]] = {}
        for picture in labelled:
            own = [next(entries) for _ in DIAGONALS]
            answers = [entry.answers for entry in own if not isinstance(entry, Failure)]
            if len(answers) == len(own):
                views[id(picture)] = {q: tuple(each[q] for each in answers) for q in self.own}
        return views


def _reference_questions(judge: Judge) -> tuple[Question, ...]:
    """The reference statements that the model has the words for."""
    vocabulary = judge.model.capability(Vocabulary)
    reader = judge.model.capability(StatementReader)
    texts = [t for t in REFERENCE if vocabulary is None or not vocabulary.unknown_words(t)]
    texts = [text for text in texts if reader is None or reader.refusal(text) is None]
    return tuple(Question("statement", text) for text in texts)
