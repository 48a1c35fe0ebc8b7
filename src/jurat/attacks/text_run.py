"""Attacks on text as a run: a text for the prompts alone, or for those about each of a user's pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from jurat.attacks.access import Access
from jurat.attacks.attack_run import (
    Wish,
    check_wish,
    only_picture,
    recorded,
    replies_column,
    run_settings,
)
from jurat.attacks.cases import Case
from jurat.attacks.text import TextGoal, submit_text
from jurat.attacks.text_method import TextAttack
from jurat.content import Chat, Generation, ImageError, Item, Reply, Turn
from jurat.models import ModelError
from jurat.runs import RowSchema, Run
from jurat.runs.arrow import ArrowSchema
from jurat.text import reason

if TYPE_CHECKING:
    from jurat.models import Model

__all__ = ["TEXT_ROWS", "TextAttacker"]


def _arrow() -> ArrowSchema:
    import pyarrow as pa

    texts, numbers = ("id", "uri", "outcome", "error", "text"), ("first_loss", "score", "seconds")
    counts = ("occurrence", "successes", "step", "left_out", "forwards", "backwards", "queries")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            *((name, pa.int64()) for name in counts),
            *((name, pa.float64()) for name in numbers),
            replies_column(),
        ]
    )


TEXT_ROWS = RowSchema(_arrow, error_values={"replies": []})
"""A row a text. `outcome` is "success" where at least one test prompt was answered as wanted, "failure" where
none was, and "error". `left_out` counts candidates whose text is read as other tokens. The replies that
success is measured on are not among the queries."""


@dataclass(frozen=True)
class TextAttacker:
    """An attack on text against one model, with what it wants.

    Raises:
        JuratError: the wish lacks what the attack needs.
    """

    attack: TextAttack
    name: str
    """The attack as it was named, with its settings."""
    model: Model
    wish: Wish
    seed: int = 0

    def __post_init__(self) -> None:
        check_wish("target", self.wish)

    def open_run(self, folder: Path, *, fresh: bool = False) -> Run:
        """A folder for the rows: a new run, or one that is resumed. Raises JuratError as `Run` does."""
        settings = run_settings(self.attack, self.name, self.model, self.wish, self.seed)
        return Run(folder, TEXT_ROWS, settings, fresh=fresh)

    def rows(self, run: Run, items: Iterable[Item], batch: int = 1) -> Iterator[dict[str, Any]]:
        """Finds a text for each item that has no row yet: for the prompts about its image, or for the
        prompts alone where it has none; yields the rows. Texts are found one after the other, whatever
        `batch` is."""
        for item in run.pending(items):
            row = {"id": item.id, "occurrence": item.occurrence, "uri": item.uri, "error": None}
            try:
                row |= self._result(only_picture(item.read()) if item.found() else None)
            except (ModelError, ImageError) as error:
                row |= {"outcome": "error", "error": reason(error), "replies": []}
            run.write(row)
            yield row

    def _result(self, image: Image.Image | None) -> dict[str, Any]:
        wish, attack, access = self.wish, self.attack, Access(self.model)
        goal = TextGoal(
            _cases(image, dict.fromkeys(map(attack.training_text, wish.prompts)), wish),
            _cases(image, map(attack.submitted_text, wish.validation_prompts), wish),
            _cases(image, map(attack.submitted_text, wish.tested), wish),
            lambda _, reply: wish.granted(reply),
        )
        (outcome,) = attack.run([access], [goal], self.seed)
        (sent,) = submit_text(access, [goal], [outcome.text])
        clean = access.chat([case.chat for case in _cases(image, wish.tested, wish)])
        return {
            "outcome": "success" if sent.successes else "failure",
            "text": outcome.text,
            "successes": sent.successes,
            "step": outcome.step,
            "first_loss": outcome.losses[0] if outcome.losses else None,
            "score": outcome.score,
            "left_out": outcome.left_out,
            **asdict(outcome.spent),
            "replies": self._replies(sent.replies, clean),
        }

    def _replies(self, replies: Sequence[Reply], clean: Sequence[Reply]) -> list[dict[str, Any]]:
        return [
            recorded(prompt, reply, before, self.wish.granted)
            for prompt, reply, before in zip(self.wish.tested, replies, clean, strict=True)
        ]


def _cases(image: Image.Image | None, texts: Iterable[str], wish: Wish) -> list[Case]:
    shown = () if image is None else (image,)
    generation = Generation(max_tokens=wish.max_tokens)
    return [Case(Chat((Turn("user", (*shown, text)),), generation), wish.target or "") for text in texts]
