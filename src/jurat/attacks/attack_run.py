"""Attacks on a user's own pictures as a run: resumable, with saved pictures and what the model replied."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from PIL import Image

from jurat.attacks.access import Access
from jurat.attacks.cases import Case, Goal, begins_with
from jurat.attacks.engine import Outcome
from jurat.attacks.method import PictureAttack, Wants
from jurat.attacks.pictures import as_levels, save_png
from jurat.attacks.submission import Submitted, replies_to, submit
from jurat.content import Chat, Generation, ImageError, Item, Reply, Turn
from jurat.errors import JuratError
from jurat.files import make_folder
from jurat.media import decode
from jurat.models import ModelError, full_name
from jurat.runs import RowSchema, Run
from jurat.runs.arrow import ArrowSchema
from jurat.text import reason

if TYPE_CHECKING:
    from jurat.models import Model

__all__ = [
    "ATTACK_ROWS",
    "PICTURES",
    "Attacker",
    "Wish",
    "check_wish",
    "only_picture",
    "recorded",
    "replies_column",
    "run_settings",
]

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
    """A text that a successful reply contains; None: it begins with the target, or where there is none, it is
    another reply than to the clean picture."""
    trigger: Image.Image | str | None = field(default=None, compare=False)
    """What the picture should look like to a vision encoder."""
    max_tokens: int = 64
    """Largest number of tokens in a reply."""
    corpus: tuple[str, ...] = ()
    """Replies to the picture alone, without a prompt, that are trained on in the place of the prompts' (Qi et
    al. 2023); empty trains on `prompts`."""

    @property
    def tested(self) -> tuple[str, ...]:
        """The prompts that success is measured on."""
        return self.test_prompts or self.prompts

    def granted(self, reply: Reply) -> bool:
        """Whether a reply is the one that is wanted, by `success` or `target`, one of which must be there."""
        if self.success is not None:
            return self.success.strip().casefold() in reply.text.casefold()
        return begins_with(self.target or "", reply)

    def settings(self) -> dict[str, Any]:
        """What rows depend on, as JSON."""
        shown = self.trigger
        if isinstance(shown, Image.Image):
            shown = hashlib.sha256(shown.tobytes()).hexdigest()
        plain = {name: getattr(self, name) for name in ("target", "success", "max_tokens")}
        prompts = {"train": self.prompts, "validation": self.validation_prompts, "test": self.test_prompts}
        found = {**plain, "prompts": {name: list(some) for name, some in prompts.items()}, "trigger": shown}
        return found | ({"corpus": list(self.corpus)} if self.corpus else {})


def replies_column() -> tuple[str, Any]:
    """The column of replies to test prompts, as pyarrow takes it."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("prompt", "reply", "clean_reply", "failure")]
    return "replies", pa.list_(pa.struct([*texts, ("success", pa.bool_()), ("clean_success", pa.bool_())]))


def _arrow() -> ArrowSchema:
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("occurrence", pa.int64()),
            ("uri", pa.string()),
            ("outcome", pa.string()),
            ("error", pa.string()),
            ("clean_sha256", pa.string()),
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
            replies_column(),
        ]
    )


ATTACK_ROWS = RowSchema(_arrow, error_values={"replies": []})
"""A row a picture. `outcome` is "success" where at least one test prompt was answered as wanted, "failure"
where none was, and "error". `clean_success` says that the clean picture was answered so already. `ssim` is
null for a picture with a side of fewer than 11 pixels. Forwards, backwards, queries and seconds are the mean
over the pictures of a batch."""


@dataclass(frozen=True)
class Attacker:
    """An attack on one model, with what it wants.

    Raises:
        JuratError: the wish lacks what the attack needs.
    """

    attack: PictureAttack
    name: str
    """The attack as it was named, with its settings."""
    model: Model
    wish: Wish
    seed: int = 0
    surrogates: tuple[Model, ...] = ()
    """Models that the pictures are made on; empty makes them on `model`, which is asked in any case."""

    def __post_init__(self) -> None:
        check_wish(self.attack.wants, self.wish)

    def open_run(self, folder: Path, *, fresh: bool = False) -> Run:
        """A folder for the rows and pictures: a new run, or one that is resumed. Raises JuratError as `Run`
        does."""
        settings = run_settings(self.attack, self.name, self.model, self.wish, self.seed)
        if self.surrogates:
            settings["surrogates"] = [full_name(model) for model in self.surrogates]
        return Run(folder, ATTACK_ROWS, settings, fresh=fresh)

    def rows(self, run: Run, items: Iterable[Item], batch: int) -> Iterator[dict[str, Any]]:
        """Attacks the image of each item that has no row yet, `batch` at once; yields the rows."""
        pending = run.pending(items)
        while some := list(itertools.islice(pending, batch)):
            for row in self._attacked(run.folder / PICTURES, some):
                run.write(row)
                yield row

    def _attacked(self, folder: Path, items: Sequence[Item]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [
            {"id": item.id, "occurrence": item.occurrence, "uri": item.uri} for item in items
        ]
        images: dict[int, Image.Image] = {}
        for number, item in enumerate(items):
            try:
                data = item.read()
                if data:
                    rows[number]["clean_sha256"] = hashlib.sha256(data[0]).hexdigest()
                images[number] = only_picture(data)
            except ImageError as error:
                rows[number] |= _error(reason(error))
        make_folder(folder)
        files = {n: folder / f"{_file_name(rows[n])}.png" for n in images}
        for number, row in self._results(images, files).items():
            rows[number] |= row
        return rows

    def _results(
        self, images: Mapping[int, Image.Image], files: Mapping[int, Path]
    ) -> dict[int, dict[str, Any]]:
        """What is recorded of each picture of a batch. Where the model cannot take one of them, each is
        attacked alone, and that one is an error."""
        try:
            return self._batch(images, files) if images else {}
        except (ModelError, ImageError) as error:
            if len(images) == 1:
                return dict.fromkeys(images, _error(reason(error)))
            alone = [self._results({n: images[n]}, {n: files[n]}) for n in images]
            return {n: row for each in alone for n, row in each.items()}

    def _batch(
        self, images: Mapping[int, Image.Image], files: Mapping[int, Path]
    ) -> dict[int, dict[str, Any]]:
        access, wish = Access(self.model), self.wish
        texts = list(dict.fromkeys([*wish.prompts, *wish.validation_prompts, *wish.tested]))
        said = replies_to(access, [(_cases(texts, wish), image) for image in images.values()])
        clean = {n: dict(zip(texts, replies, strict=True)) for n, replies in zip(images, said, strict=True)}
        keys = {n: crc32(file.name.encode()) for n, file in files.items()}
        goals = {n: _goal(wish, image, clean[n], keys[n]) for n, image in images.items()}
        ready = [n for n in images if goals[n].train]
        found = {n: _error(_silent(clean[n])) for n in images if n not in ready}
        if not ready:
            return found
        made_on = [Access(model, access.spent) for model in self.surrogates] or [access]
        outcomes = self.attack.run(made_on, [goals[n] for n in ready], self.seed)
        for n, outcome in zip(ready, outcomes, strict=True):
            save_png(outcome.saved, files[n])
        spent = {name: value / len(ready) for name, value in asdict(access.spent).items()}
        every = submit(access, [goals[n] for n in ready], [files[n] for n in ready])
        for n, outcome, sent in zip(ready, outcomes, every, strict=True):
            found[n] = _row(sent, outcome, wish, clean[n]) | spent
        return found


def only_picture(files: Sequence[bytes]) -> Image.Image:
    """The still picture of an item's files.

    Raises:
        ImageError: there is none, it cannot be read, or there are more, which an attack on one would leave as
            they are.
    """
    if len(files) != 1:
        raise ImageError(
            f"There are {len(files)} images; an attack changes one." if files else "There is no image."
        )
    decoded = decode(files[0])
    if decoded.kind != "image":
        raise ImageError(f"It is of kind {decoded.kind!r}; an attack changes one still picture.")
    return decoded.frames[0]


def run_settings(attack: Any, name: str, model: Model, wish: Wish, seed: int) -> dict[str, Any]:
    """What rows depend on, as JSON; `attack` is a dataclass of settings."""
    return {
        "attack": name,
        "attack_settings": asdict(attack),
        "model": full_name(model),
        "dtype": model.dtype,
        "seed": seed,
        **wish.settings(),
    }


def check_wish(wants: Wants, wish: Wish) -> None:
    """Raises JuratError: the wish lacks what the attack needs."""
    if not wish.prompts:
        raise JuratError("An attack needs at least one prompt.", hint='--prompt "What is in this image?"')
    if wants == "target" and wish.target is None:
        raise JuratError("This attack needs the reply that is wanted.", hint='--target "..."')
    if wish.target is not None and not wish.target.strip():
        raise JuratError("The target is empty.", hint="Leave --target out to want another reply.")
    if wish.success is not None and not wish.success.strip():
        raise JuratError("The text of a success is empty: every reply has it.", hint="Leave --success out.")
    if wants == "trigger" and wish.trigger is None:
        raise JuratError("This attack needs a trigger, an image or a text.", hint="--trigger FILE_OR_TEXT")


def _error(why: str) -> dict[str, Any]:
    return {"outcome": "error", "error": why, "replies": []}


def _silent(clean: Mapping[str, Reply]) -> str:
    """Why a picture is not attacked of which the model says nothing."""
    failure = next((reply.failure for reply in clean.values() if reply.failure is not None), None)
    why = "they are empty" if failure is None else f"{failure.kind}: {failure.reason}"
    return f"There are no replies to the clean picture: {why}"


def _row(sent: Submitted, outcome: Outcome, wish: Wish, clean: Mapping[str, Reply]) -> dict[str, Any]:
    far = asdict(sent.distance)
    return {
        "outcome": "success" if sent.successes else "failure",
        "error": None,
        "picture": f"{PICTURES}/{sent.file.name}",
        "sha256": hashlib.sha256(sent.file.read_bytes()).hexdigest(),
        "successes": sent.successes,
        "step": outcome.step,
        "first_loss": outcome.losses[0] if outcome.losses else None,
        "score": outcome.score,
        **far,
        "ssim": None if math.isnan(far["ssim"]) else far["ssim"],
        "replies": [
            recorded(text, reply, clean[text], partial(sent.goal.succeeded, case))
            for text, case, reply in zip(wish.tested, sent.goal.test, sent.replies, strict=True)
        ],
    }


def _cases(texts: Sequence[str], wish: Wish, replies: Mapping[str, str] | None = None) -> list[Case]:
    generation = Generation(max_tokens=wish.max_tokens)
    return [
        Case(Chat((Turn("user", (_PLACE, text)),), generation), (replies or {}).get(text, ""))
        for text in texts
    ]


def _goal(wish: Wish, image: Image.Image, clean: Mapping[str, Reply], key: int) -> Goal:
    """What is wanted of a picture, of which the model says `clean`, a reply to each prompt."""
    said = {text: reply.text for text, reply in clean.items()}
    wanted = said if wish.target is None else dict.fromkeys(said, wish.target)

    def succeeded(case: Case, reply: Reply) -> bool:
        if wish.success is not None or wish.target is not None:
            return wish.granted(reply)
        before = clean[case.chat.turns[-1].text]
        return before.failure is None and reply.text.strip() != before.text.strip()

    # A prompt that the model has no reply to cannot be trained on without a target.
    lists = (wish.prompts, wish.validation_prompts, wish.tested)
    train, validation, test = (_cases(texts, wish, wanted) for texts in lists)
    if wish.corpus:
        generation = Generation(max_tokens=wish.max_tokens)
        train = [Case(Chat((Turn("user", (_PLACE,)),), generation), text) for text in wish.corpus]
        # Without validation prompts the best picture is chosen by the prompts, not by the corpus.
        validation = validation or _cases(wish.prompts, wish, wanted)
    return Goal(
        as_levels(image),
        [case for case in train if case.target],
        [case for case in validation if case.target],
        test,
        succeeded,
        key=key,
        trigger=wish.trigger,
    )


def recorded(prompt: str, reply: Reply, clean: Reply, succeeded: Callable[[Reply], bool]) -> dict[str, Any]:
    """An entry of the column of replies: `clean` is the reply without an attack."""
    failure = reply.failure
    return {
        "prompt": prompt,
        "reply": reply.text,
        "clean_reply": clean.text,
        "failure": None if failure is None else f"{failure.kind}: {failure.reason}",
        "success": failure is None and succeeded(reply),
        "clean_success": clean.failure is None and succeeded(clean),
    }


def _file_name(row: Mapping[str, Any]) -> str:
    """A short name that no other row of a run has."""
    stem = re.sub(r"[^\w-]+", "-", Path(row["id"]).stem)[:40].strip("-")
    key = f"{row['id']}\0{row['occurrence']}"
    return f"{stem}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
