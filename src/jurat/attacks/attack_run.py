"""Attacks on a user's own pictures as a run: resumable, with saved pictures and what the model replied."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from jurat.attacks.access import Access
from jurat.attacks.cases import Case, Goal
from jurat.attacks.method import PictureAttack
from jurat.attacks.pictures import as_levels, save_png
from jurat.attacks.submission import Submitted, replies_to, submit
from jurat.content import Chat, Generation, ImageError, Item, Reply, Turn
from jurat.errors import JuratError
from jurat.files import make_folder
from jurat.media import decode
from jurat.models import full_name
from jurat.runs import RowSchema, Run
from jurat.runs.arrow import ArrowSchema
from jurat.text import reason

if TYPE_CHECKING:
    from jurat.models import Model

__all__ = ["ATTACK_ROWS", "PICTURES", "Wish", "attack_items", "open_attack_run"]

PICTURES = "pictures"
"""Folder of the saved pictures in that of a run."""
_PLACE = Image.new("RGB", (1, 1))
"""Marks the place of the attacked picture in a conversation."""


@dataclass(frozen=True)
class Wish:
    """What an attacker wants of a user's pictures."""

    prompts: tuple[str, ...]
    """What the attack may use; each is asked about the picture alone."""
    test_prompts: tuple[str, ...] = ()
    """What success is measured on; empty takes `prompts`."""
    validation_prompts: tuple[str, ...] = ()
    """What the best picture is chosen on; empty takes `prompts`."""
    target: str | None = None
    """The reply that is wanted, or its beginning. None takes what the model says of the clean picture, for
    attacks after which it should say something else."""
    success: str | None = None
    """A text that a successful reply contains; by default the target."""
    trigger: Image.Image | str | None = field(default=None, compare=False)
    """What the picture should look like to a vision encoder."""
    max_tokens: int = 64
    """Of a reply."""

    def settings(self) -> dict[str, Any]:
        """What rows depend on, as JSON."""
        shown = self.trigger
        if isinstance(shown, Image.Image):
            shown = hashlib.sha256(shown.tobytes()).hexdigest()
        plain = {name: getattr(self, name) for name in ("target", "success", "max_tokens")}
        prompts = {"train": self.prompts, "validation": self.validation_prompts, "test": self.test_prompts}
        return {**plain, "prompts": {name: list(some) for name, some in prompts.items()}, "trigger": shown}


def _arrow() -> ArrowSchema:
    import pyarrow as pa

    reply = pa.struct(
        [
            ("prompt", pa.string()),
            ("reply", pa.string()),
            ("clean_reply", pa.string()),
            ("failure", pa.string()),
            ("success", pa.bool_()),
        ]
    )
    return pa.schema(
        [
            ("id", pa.string()),
            ("occurrence", pa.int64()),
            ("uri", pa.string()),
            ("outcome", pa.string()),
            ("error", pa.string()),
            ("picture", pa.string()),
            ("sha256", pa.string()),
            ("successes", pa.int64()),
            ("step", pa.int64()),
            ("first_loss", pa.float64()),
            ("score", pa.float64()),
            ("linf", pa.int64()),
            ("l2", pa.float64()),
            ("ssim", pa.float64()),
            ("forwards", pa.float64()),
            ("backwards", pa.float64()),
            ("queries", pa.float64()),
            ("seconds", pa.float64()),
            ("replies", pa.list_(reply)),
        ]
    )


ATTACK_ROWS = RowSchema(_arrow, error_values={"replies": []})
"""A row a picture. `outcome` is "success" where at least one test prompt was answered as wanted, "failure"
where none was, and "error"; forwards, backwards, queries and seconds are the mean over the pictures of a
batch."""


def open_attack_run(
    folder: Path,
    attack: PictureAttack,
    name: str,
    model: Model,
    wish: Wish,
    seed: int,
    *,
    fresh: bool = False,
) -> Run:
    """Opens a folder for an attack: a new run, or one that is resumed.

    Raises:
        JuratError: the wish lacks what the attack needs, or as `Run` does.
    """
    _check(attack, wish)
    settings = {
        "attack": name,
        "attack_settings": asdict(attack),
        "model": full_name(model),
        "dtype": model.dtype,
        "seed": seed,
        **wish.settings(),
    }
    return Run(folder, ATTACK_ROWS, settings, fresh=fresh)


def attack_items(
    run: Run, attack: PictureAttack, model: Model, wish: Wish, items: Iterable[Item], *, seed: int, batch: int
) -> Iterator[dict[str, Any]]:
    """Attacks the first image of each item that has no row yet, `batch` at once; yields what it records."""
    pending = run.pending(items)
    while some := list(itertools.islice(pending, batch)):
        for row in _attacked(run.folder, attack, model, wish, some, seed):
            run.write(row)
            yield row


def _check(attack: PictureAttack, wish: Wish) -> None:
    """Raises JuratError: the wish lacks what the attack needs."""
    if not wish.prompts:
        raise JuratError("An attack needs at least one prompt.", hint='--prompt "What is in this image?"')
    if attack.wants == "target" and wish.target is None:
        raise JuratError("This attack needs the reply that is wanted.", hint='--target "..."')
    if attack.wants == "trigger" and wish.trigger is None:
        raise JuratError("This attack needs a trigger, an image or a text.", hint="--trigger FILE_OR_TEXT")


def _attacked(
    folder: Path, attack: PictureAttack, model: Model, wish: Wish, items: Sequence[Item], seed: int
) -> Iterator[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"id": item.id, "occurrence": item.occurrence, "uri": item.uri} for item in items
    ]
    images: dict[int, Image.Image] = {}
    for number, item in enumerate(items):
        try:
            images[number] = decode(item.read()[0]).frames[0]
        except (ImageError, IndexError) as error:
            why = reason(error) if isinstance(error, ImageError) else "There is no image."
            rows[number] |= {"outcome": "error", "error": why, "replies": []}
    if images:
        for number, row in zip(images, _rows(folder, attack, model, wish, images, rows, seed), strict=True):
            rows[number] |= row
    yield from rows


def _rows(
    folder: Path,
    attack: PictureAttack,
    model: Model,
    wish: Wish,
    images: dict[int, Image.Image],
    rows: Sequence[dict[str, Any]],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """What is recorded of each readable picture of a batch."""
    access = Access(model)
    tested = wish.test_prompts or wish.prompts
    texts = list(dict.fromkeys([*wish.prompts, *wish.validation_prompts, *tested]))
    asked = [(_cases(texts, wish), image) for image in images.values()]
    clean = [dict(zip(texts, replies, strict=True)) for replies in replies_to(access, asked)]
    goals = [_goal(wish, image, said) for image, said in zip(images.values(), clean, strict=True)]
    outcomes = attack.run([access], goals, seed)
    spent = access.spent.copy()
    files = [folder / PICTURES / f"{_file_name(rows[number])}.png" for number in images]
    make_folder(folder / PICTURES)
    for outcome, file in zip(outcomes, files, strict=True):
        save_png(outcome.saved, file)
    for sent, outcome, said in zip(submit(access, goals, files), outcomes, clean, strict=True):
        yield {
            "outcome": "success" if sent.successes else "failure",
            "error": None,
            "picture": sent.file.relative_to(folder).as_posix(),
            "sha256": hashlib.sha256(sent.file.read_bytes()).hexdigest(),
            "successes": sent.successes,
            "step": outcome.step,
            "first_loss": outcome.losses[0] if outcome.losses else None,
            "score": outcome.score,
            **asdict(sent.distance),
            **{name: value / len(goals) for name, value in asdict(spent).items()},
            "replies": [
                _recorded(sent, text, reply, said[text])
                for text, reply in zip(tested, sent.replies, strict=True)
            ],
        }


def _cases(texts: Sequence[str], wish: Wish, replies: Mapping[str, str] | None = None) -> list[Case]:
    generation = Generation(max_tokens=wish.max_tokens)
    return [
        Case(Chat((Turn("user", (_PLACE, text)),), generation), (replies or {}).get(text, ""))
        for text in texts
    ]


def _goal(wish: Wish, image: Image.Image, clean: Mapping[str, Reply]) -> Goal:
    """What is wanted of a picture, of which the model says `clean`, a reply to each prompt."""
    said = {text: reply.text for text, reply in clean.items()}
    wanted = said if wish.target is None else dict.fromkeys(said, wish.target)
    sought = wish.success or wish.target

    def succeeded(case: Case, reply: Reply) -> bool:
        if sought is not None:
            return sought.strip().casefold() in reply.text.casefold()
        return reply.text.strip() != said[case.chat.turns[-1].text].strip()

    # A prompt that the model has no reply to cannot be trained on without a target.
    lists = (wish.prompts, wish.validation_prompts, wish.test_prompts or wish.prompts)
    train, validation, test = (_cases(texts, wish, wanted) for texts in lists)
    return Goal(
        as_levels(image),
        [case for case in train if case.target],
        [case for case in validation if case.target],
        test,
        succeeded,
        trigger=wish.trigger,
    )


def _recorded(sent: Submitted, text: str, reply: Reply, clean: Reply) -> dict[str, Any]:
    failure = reply.failure
    (case,) = _cases([text], Wish((text,)))
    return {
        "prompt": text,
        "reply": reply.text,
        "clean_reply": clean.text,
        "failure": None if failure is None else f"{failure.kind}: {failure.reason}",
        "success": failure is None and sent.goal.succeeded(case, reply),
    }


def _file_name(row: Mapping[str, Any]) -> str:
    """A short name that no other row of a run has."""
    stem = re.sub(r"[^\w-]+", "-", Path(row["id"]).stem)[:40].strip("-")
    key = f"{row['id']}\0{row['occurrence']}"
    return f"{stem}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
