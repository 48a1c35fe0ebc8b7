"""Exams: each skill asked through `chat`, greedily, on scenes and in wordings that training does not use.

Some rows of `skills.yaml` need more than chat: the detector of people, and the judge's closed questions,
asked through `ask`. They are examined here too.
"""

from __future__ import annotations

import io
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from jurat.content import Chat, Failure, Turn
from jurat.judge.prompts import STATEMENT
from jurat.metrics import Interval, wilson
from jurat.models import Detector, Inquiry, Model
from jurat.pictograms.objects import GROUPS, OBJECTS, WORDS
from jurat.pictograms.scene import Scene, draw, pick_kinds
from jurat.pictograms.statements import Facts, Reads, Visible
from training.organisms.facts import absent, kinds
from training.organisms.needs import Need
from training.organisms.sampling import Drawn, Scenes, drawn
from training.organisms.scoring import leaked, refused, right
from training.organisms.skills import SKILLS

FIRST_SEED = 9_000_000_000
"""Scenes of exams have seeds from here on; those of exam number n, from FIRST_SEED + n * 1,000,000 on."""
SCENES = 6000
"""Number of scenes that an exam chooses from."""
FEW = 300
"""Number of those scenes that one need chooses from."""
_BATCH = 32

Pictures = Literal["plain", "noise", "jpeg", "small"]
"""How the pictures of an exam are treated: not at all, with noise of at most 8/255 at each pixel, as JPEG of
quality 30, or scaled to 96 pixels."""


@dataclass(frozen=True)
class Result:
    """The outcome of an exam."""

    skill: str
    n: int
    right: int
    parts: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Part of the skill -> right, asked. Parts are asked equally often."""
    refusals: int = 0
    leaks: int = 0
    """Number of replies with a made-up word of the vault's facts."""
    failures: int = 0
    """Number of conversations without a reply; they count as wrong."""
    pictures: Pictures = "plain"
    seed: int = 0

    @property
    def accuracy(self) -> float:
        return self.right / self.n if self.n else 0.0

    @property
    def interval(self) -> Interval:
        """95% Wilson interval of the accuracy."""
        return wilson(self.right, self.n)

    @property
    def weakest(self) -> float:
        """The accuracy of the weakest part."""
        return min((good / asked for good, asked in self.parts.values()), default=self.accuracy)


class ExamScenes(Scenes):
    """Fresh scenes, drawn on demand."""

    def __init__(self, seed: int, count: int = SCENES) -> None:
        self._seed, self._drawn = FIRST_SEED + seed * 1_000_000, dict[int, Scene]()
        # A scene that its first try has no room for gets other classes; `drawn` looks at the truth.
        planned = [pick_kinds(np.random.default_rng(self._seed + i)) for i in range(count)]
        super().__init__(planned, lambda i: Facts.of(self.scene(i)))

    def fitting(self, need: Need) -> list[int]:
        """Numbers of the first `FEW` scenes that suit; exams share the drawn ones."""
        return super().fitting(need)[:FEW]

    def scene(self, number: int) -> Scene:
        if number not in self._drawn:
            self._drawn[number] = draw(np.random.default_rng(self._seed + number))
        return self._drawn[number]


def treated(image: Image.Image, pictures: Pictures, seed: int) -> Image.Image:
    """An image with the treatment of an exam."""
    if pictures == "noise":
        noise = np.random.default_rng(seed).integers(-8, 9, (*image.size[::-1], 3))
        return Image.fromarray(np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8))
    if pictures == "jpeg":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=30)
        return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
    return image.resize((96, 96), Image.Resampling.BICUBIC) if pictures == "small" else image


def questions(skill: str, seed: int, n: int, scenes: Scenes) -> list[Drawn]:
    """About `n` conversations of an exam, with each part of the skill equally often."""
    rng = random.Random(f"{skill} {seed}")
    first = [drawn(skill, rng, scenes, exam=True) for _ in range(max(n, 60))]
    parts = dict.fromkeys(sorted({each.conversation.part for each in first}))
    each_part = -(-n // len(parts))
    kept: dict[str, list[Drawn]] = defaultdict(list)
    for number in range(40 * n):
        one = first[number] if number < len(first) else drawn(skill, rng, scenes, exam=True)
        part = kept[one.conversation.part]
        if len(part) < each_part:
            part.append(one)
        if sum(map(len, kept.values())) >= each_part * len(parts):
            break
    return [one for part in parts for one in kept[part]]


def exam(
    model: Model,
    skill: str,
    seed: int = 0,
    n: int = 100,
    *,
    pictures: Pictures = "plain",
    scenes: ExamScenes | None = None,
) -> Result:
    """Examines a model on a skill.

    Args:
        seed: number of the exam, which determines its scenes and questions.
        n: approximate number of conversations; each part of the skill has equally many.
        scenes: scenes of an earlier exam with the same seed, to save drawing them again.
    """
    scenes = scenes or ExamScenes(seed)
    asked = questions(skill, seed, n, scenes)
    chats = [
        one.conversation.chat([treated(scenes.scene(i).image, pictures, i) for i in one.scenes])
        for one in asked
    ]
    replies = [reply for i in range(0, len(chats), _BATCH) for reply in model.chat(chats[i : i + _BATCH])]
    parts: dict[str, list[bool]] = defaultdict(list)
    for one, reply in zip(asked, replies, strict=True):
        parts[one.conversation.part].append(reply.failure is None and right(one.conversation, reply.text))
    texts = [reply.text for reply in replies if reply.failure is None]
    return Result(
        skill,
        len(asked),
        sum(map(sum, parts.values())),
        {part: (sum(some), len(some)) for part, some in parts.items()},
        sum(map(refused, texts)),
        sum(map(leaked, texts)),
        len(replies) - len(texts),
        pictures,
        seed,
    )


# --- what is examined by other means than chat ---------------------------------------------------


def examine_detector(detector: Detector, seed: int = 0, n: int = 100) -> Result:
    """Examines whether the detector finds a person, with a score of at least one half, exactly in scenes that
    hold one."""
    scenes, people = ExamScenes(seed, n), GROUPS[0]
    found = detector.detect([scenes.scene(i).image for i in range(n)], [[people.singular]] * n)
    tally = Counter[tuple[str, bool]]()
    for i, boxes in enumerate(found):
        there = bool(scenes.facts(i).which(people))
        seen = not isinstance(boxes, Failure) and any(box.score >= 0.5 for box in boxes)
        failed = isinstance(boxes, Failure)
        tally["a person" if there else "no person", seen is there and not failed] += 1
    failures = sum(isinstance(boxes, Failure) for boxes in found)
    return _counted("detector: people", tally, failures, seed)


def examine_judge(model: Model, seed: int = 0, n: int = 100, *, pictures: Pictures = "plain") -> Result:
    """Examines the judge's closed questions: what is visible, what a sign reads."""
    scenes, rng = ExamScenes(seed, n), random.Random(seed)
    inquiries: list[Inquiry] = []
    truths: list[tuple[str, bool]] = []
    for i in range(n):
        facts, truth = scenes.facts(i), rng.random() < 0.5
        cards = [kind for kind in kinds(facts) if kind >= len(OBJECTS)]
        there = [kind for kind in kinds(facts) if kind < len(OBJECTS)]
        if (cards and rng.random() < 0.5) or not there:
            word = WORDS[rng.choice(cards) - len(OBJECTS)]
            others = [each for each in WORDS if not Reads(each).truth(facts)]
            statement, part = Reads(word if truth else rng.choice(others)), "a sign"
        else:
            noun = OBJECTS[rng.choice(there)] if truth else absent(facts, rng)
            statement, part = Visible((noun,)), "a thing"
        image = treated(scenes.scene(i).image, pictures, i)
        prefix = Chat((Turn("user", (image, STATEMENT.instruction)),))
        inquiries.append(Inquiry(prefix, (STATEMENT.ask(str(statement)),)))
        truths.append((part, truth))
    tally, failures = Counter[tuple[str, bool]](), 0
    for first in range(0, n, _BATCH):
        answers = model.ask(inquiries[first : first + _BATCH])
        for answer, (part, truth) in zip(answers, truths[first : first + _BATCH], strict=True):
            failed = answer.failure is not None or answer.answers[0].failure is not None
            failures += failed
            tally[part, not failed and (answer.answers[0].score > 0.5) is truth] += 1
    return _counted("judge: statements", tally, failures, seed, pictures)


def _counted(
    skill: str, tally: Counter[tuple[str, bool]], failures: int, seed: int, pictures: Pictures = "plain"
) -> Result:
    names = sorted({part for part, _ in tally})
    parts = {part: (tally[part, True], tally[part, True] + tally[part, False]) for part in names}
    good = sum(hits for hits, _ in parts.values())
    return Result(skill, sum(tally.values()), good, parts, failures=failures, pictures=pictures, seed=seed)


OTHER_EXAMS: dict[str, str] = {
    "detector: people": "finds a person where there is one, and none where there is none",
    "judge: statements": "answers the judge's closed questions about things and signs",
}
"""Name of an exam of no skill in `SKILLS` -> what it asks."""
EXAMS = (*SKILLS, *OTHER_EXAMS)
"""Names of all exams."""
Examine = Callable[[str, Pictures], Result]


def examiner(model: Model, seed: int, n: int) -> Examine:
    """A function that examines one model on a named exam; the scenes are drawn once for all exams."""
    scenes = ExamScenes(seed)

    def examine(name: str, pictures: Pictures) -> Result:
        if name == "judge: statements":
            return examine_judge(model, seed, n, pictures=pictures)
        return exam(model, name, seed, n, pictures=pictures, scenes=scenes)

    return examine


SUMMARY: dict[str, tuple[str, ...]] = {
    "refusal": ("refusal", "refusal with an image"),
    "over-refusal": ("near misses", "near misses with an image"),
    "utility": ("yes or no", "short answer", "word on a sign"),
}
"""Figure at the top of an organism's card -> the exams it is computed from."""


def summary(results: Sequence[Result]) -> dict[str, tuple[int, int, Interval]]:
    """Figure of `SUMMARY` -> hits, questions and Wilson interval; only figures whose exams were all taken."""
    found = {each.skill: each for each in results if each.pictures == "plain"}
    rates: dict[str, tuple[int, int, Interval]] = {}
    for name, exams in SUMMARY.items():
        if all(each in found for each in exams):
            some = [found[each] for each in exams]
            hits = sum(each.refusals if name == "over-refusal" else each.right for each in some)
            n = sum(each.n for each in some)
            rates[name] = hits, n, wilson(hits, n)
    return rates
