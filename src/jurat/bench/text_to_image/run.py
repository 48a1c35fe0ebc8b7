"""A comparison as a run: prompts are looked for, pictures of known truth and of every cell are kept, and then
judged. What is on disk is not made again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from jurat.attacks.prompt_run import PromptAttacker
from jurat.bench.bench_run import evaluate_all
from jurat.bench.evaluate import Progress
from jurat.bench.predictions import Origin, origins_of
from jurat.bench.text_to_image import known
from jurat.bench.text_to_image.pictures import (
    CannotResume,
    Make,
    Picture,
    Wanted,
    enlarged,
    keep_pictures,
)
from jurat.bench.text_to_image.plan import CODEC, DRAWN, NONE, Cell, TextToImagePlan
from jurat.defenses.generation.defense import WeightEdit
from jurat.errors import JuratError, require
from jurat.files import file_name
from jurat.models import (
    Embedder,
    LatentDiffusion,
    ModelError,
    TextToImage,
    full_name,
    open_matcher,
    open_text_to_image,
)
from jurat.models.diffusion.checkpoint import find_checkpoint
from jurat.models.diffusion.text_encoder import TextEncoder
from jurat.models.text_to_image import latent_diffusion
from jurat.provenance import commit
from jurat.runs import read_rows
from jurat.text import counted, reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Features", "LeftOut", "RunProgress", "Search", "run_text_to_image"]

Say = Callable[[str], None]
Features: TypeAlias = "Mapping[tuple[str, str], tuple[list[Picture], NDArray[Any]]]"
"""By split and set: pictures, and a row of features for each."""


@dataclass(frozen=True)
class Search:
    """What the attack found with one seed."""

    seed: int
    rows: Sequence[Mapping[str, Any]]
    """One for each prompt (`jurat.attacks.prompt_run.PROMPT_ROWS`)."""
    random: Sequence[str]
    """As many random tokens for each prompt."""


@dataclass(frozen=True)
class LeftOut:
    """A cell, or all of a removal's (no defense), that is not in the tables, and why."""

    removal: str
    defense: str
    reason: str
    failed: bool = False
    """Whether something broke, and was not refused with a reason."""


@dataclass
class RunProgress:
    """What was made and judged."""

    model: dict[str, Any] = field(default_factory=dict[str, Any])
    """The text-to-image model: name, steps and so on."""
    text_encoder: str = ""
    features: str | None = None
    """name@revision of the matcher whose features pictures are compared by."""
    searches: list[Search] = field(default_factory=list[Search])
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    judged: Progress = field(default_factory=Progress)
    vectors: Features = field(default_factory=dict[Any, Any])
    origins: list[Origin] = field(default_factory=list[Origin])


def run_text_to_image(plan: TextToImagePlan, say: Say = lambda line: None) -> RunProgress:
    """Looks for prompts, makes pictures and judges them, as far as they are not there yet.

    A cell that cannot be made is listed in `left_out` and ends nothing.

    Raises:
        JuratError: a model cannot be opened, does not know a word of the prompts or gives no parts; a folder
            holds a run under other settings; or nothing could be judged.
        MissingExtra: packages are not installed.
    """
    require("jurat bench text-to-image", "diffusion", "torch", "transformers", "diffusers")
    require("jurat bench text-to-image", "local", "scipy")
    progress = RunProgress()
    embedder = _embedder(plan, progress)
    with closing(
        open_text_to_image(plan.model.name, device=plan.model.device, dtype=plan.model.dtype)
    ) as model:
        parts = latent_diffusion(model, "jurat bench text-to-image")
        progress.model = {
            "name": full_name(model), "dtype": model.dtype, "steps": parts.steps,
            "guidance": parts.guidance, "side": parts.side,
        }  # fmt: skip
        _search(plan, progress, say)
        _keep_known(plan, parts, model, progress, say)
        _Cells(plan, model, progress, say).run()
    progress.judged = evaluate_all(plan, say)
    if not progress.judged.evaluated:
        why = progress.judged.left_out[0]["reason"] if progress.judged.left_out else "no judge was named"
        raise JuratError(f"Nothing could be judged: {why}.")
    if embedder is not None:
        say("comparing pictures by their features")
        progress.vectors = _features(plan, embedder)
    return progress


# --- prompts -------------------------------------------------------------------------------------


def _search(plan: TextToImagePlan, progress: RunProgress, say: Say) -> None:
    """What the attack finds with each of its seeds."""
    encoder, suite = _encoder(plan), plan.suite
    progress.text_encoder = full_name(encoder)
    texts = [*plan.prompts_run, suite.concept.name, *(each.prompt for each in suite.others[: plan.others])]
    if unread := [*encoder.cut(texts), *encoder.unknown(texts)]:
        raise JuratError(
            f"{encoder.name} does not read the whole of {unread[0]!r}.",
            hint="The suite's prompts need words that the model knows, and fit into its window.",
        )
    pairs = [(pair.with_it, pair.without) for pair in suite.pairs]
    for seed in plan.search_seeds:
        attacker = PromptAttacker(plan.opened_attack(), plan.attack_run, encoder, pairs, suite.prompts, seed)
        folder = plan.out / "searches" / str(seed)
        try:
            opened = attacker.open_run(folder)
        except ModelError:
            raise
        except JuratError as error:
            raise CannotResume(error.message, hint=error.hint) from error
        with opened as run:
            made = [row["text"] for row in attacker.rows(run, plan.prompts)]
            if made:
                run.note(rows=len(made), commit=commit())
                say(f"search {seed}: {counted(len(made), 'prompt')}, {made[0]!r} the first")
        progress.origins += origins_of(folder)
        rows = {int(row["id"]): row for row in read_rows(folder)}
        searched = [rows[place] for place in range(len(plan.prompts_run))]
        if failed := [row for row in searched if row["outcome"] == "error"]:
            raise JuratError(f"The search {folder} has an error: {failed[0]['error']}")
        progress.searches.append(Search(seed, searched, attacker.random()[: plan.prompts]))


def _encoder(plan: TextToImagePlan) -> TextEncoder:
    """The text encoder that the attack uses. Raises JuratError where there is none."""
    if plan.text_encoder is not None:
        return TextEncoder(plan.text_encoder, device=plan.model.device)
    if plan.model.backend != "diffusers":
        raise JuratError(
            f"{plan.model.name!r} names no folder that the text encoder could be taken from.",
            hint="--text-encoder DIR",
        )
    return TextEncoder(find_checkpoint(plan.model.reference), device=plan.model.device)


# --- pictures of known truth ---------------------------------------------------------------------


def _keep_known(
    plan: TextToImagePlan, parts: LatentDiffusion, model: TextToImage, progress: RunProgress, say: Say
) -> None:
    """Pictures of known truth as they are, and passed through the codec."""
    suite, settings = plan.suite, {"suite": plan.suite.digest, "side": parts.side}
    if plan.reference is None:
        assert suite.scenes is not None
        wanted = known.scenes(suite, plan.seed, plan.known, plan.others, plan.real)
        make, settings = known.drawer(suite.scenes, parts.side), settings | {"seed": plan.seed}
    else:
        wanted, items = known.given(suite, plan.reference, plan.known)
        files = hashlib.sha256(b"".join(data for item in items.values() for data in item.read()))
        make, settings = known.opener(items, parts.side), settings | {"pictures": files.hexdigest()[:12]}
    drawn = _kept(plan, progress, say, DRAWN, settings, wanted, make)
    passed = [each.wanted for each in drawn if not each.error and each.wanted.set != known.AGAIN]
    settings |= {"model": full_name(model), "dtype": model.dtype}
    _kept(plan, progress, say, CODEC, settings, passed, known.reconstructor(parts, drawn))


def _kept(
    plan: TextToImagePlan,
    progress: RunProgress,
    say: Say,
    split: str,
    settings: Mapping[str, Any],
    wanted: Sequence[Wanted],
    make: Make,
    folder: Path | None = None,
) -> list[Picture]:
    """The pictures of a split, which are put into the plan."""
    folder = folder or plan.out / "known" / split
    pictures, made = keep_pictures(folder, settings, wanted, make, plan.batch)
    plan.pictures[split] = pictures
    progress.origins += origins_of(folder)
    if made:
        failed = sum(each.error is not None for each in pictures)
        say(f"{split}: {counted(made, 'picture')}" + (f", {failed} of {len(pictures)} failed" * bool(failed)))
    return pictures


# --- cells ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cells:
    """All removals and defenses."""

    plan: TextToImagePlan
    model: TextToImage
    progress: RunProgress
    say: Say

    def run(self) -> None:
        for removal in (NONE, *self.plan.removals_run):
            try:
                removed = self._removed(removal)
            except Exception as problem:  # one removal's failure leaves out its own cells only
                self._leave_out(Cell(removal, ""), problem)
                continue
            for defense in (NONE, *self.plan.defenses_run):
                try:
                    self._cell(Cell(removal, defense), removed)
                except CannotResume:
                    raise
                except Exception as problem:  # as above
                    self._leave_out(Cell(removal, defense), problem)

    def _removed(self, name: str) -> TextToImage:
        """The model after a removal; edited weights are kept in a file."""
        if name == NONE:
            return self.model
        removal = self.plan.removal(name)
        if isinstance(removal, WeightEdit):
            file = self.plan.out / "removals" / f"{file_name(name)}.safetensors"
            self.say(f"{name}: weights are edited, or read from {file}")
            return removal.over(self.model, file)
        return removal.over(self.model)

    def _cell(self, cell: Cell, removed: TextToImage) -> None:
        plan = self.plan
        defended = removed if cell.defense == NONE else plan.defense(cell.defense).over(removed)

        def make(group: Sequence[Wanted]) -> Any:
            return defended.generate([each.prompt for each in group], group[0].seed, first=group[0].place)

        settings: dict[str, Any] = {
            "model": full_name(self.model),
            "dtype": self.model.dtype,
            "removal": None if cell.removal == NONE else str(plan.removal(cell.removal)),
            "defense": None if cell.defense == NONE else str(plan.defense(cell.defense)),
            "suite": plan.suite.digest,
            "attack": asdict(plan.opened_attack()),
            "text_encoder": self.progress.text_encoder,
        }
        folder = plan.out / "cells" / file_name(cell.removal) / file_name(cell.defense)
        _kept(plan, self.progress, self.say, cell.split, settings, self._wanted(), make, folder)

    def _wanted(self) -> list[Wanted]:
        """Every picture of a cell; those of one place and seed begin from the same noise."""
        plan, suite = self.plan, self.plan.suite
        prompts: list[tuple[str, int, Sequence[str]]] = [("plain", 0, plan.prompts_run)]
        for search in self.progress.searches:
            prompts.append(("found", search.seed, [row["text"] for row in search.rows]))
        prompts.append(("name", 0, [suite.concept.name] * len(plan.prompts_run)))
        prompts += [("random", search.seed, search.random) for search in self.progress.searches]
        wanted = [
            Wanted(kind, place, search, seed, text)
            for kind, search, texts in prompts
            for seed in plan.sampling_seeds
            for place, text in enumerate(texts)
        ]
        return wanted + [
            Wanted("others", place, 0, seed, each.prompt, each.shows)
            for seed in plan.sampling_seeds
            for place, each in enumerate(suite.others[: plan.others])
        ]

    def _leave_out(self, cell: Cell, problem: Exception) -> None:
        broke = not isinstance(problem, JuratError)
        self.progress.left_out.append(LeftOut(cell.removal, cell.defense, reason(problem), failed=broke))
        self.say(f"{cell.title or 'all defenses'}: left out: {reason(problem)}")


# --- features ------------------------------------------------------------------------------------


def _embedder(plan: TextToImagePlan, progress: RunProgress) -> Embedder | None:
    """What pictures are compared by. Raises JuratError where the matcher gives no features."""
    if plan.features is None:
        return None
    matcher: Any = open_matcher(plan.features, device=plan.model.device)
    capability = getattr(matcher, "capability", None)
    found = None if capability is None else capability(Embedder)
    if found is None:
        raise JuratError(
            f"The matcher {plan.features!r} gives no features of pictures.",
            hint="Name a CLIP: --features hf/NAME, or none.",
        )
    progress.features = full_name(matcher)
    return cast(Embedder, found)


def _features(plan: TextToImagePlan, embedder: Embedder) -> Features:
    """Features of real pictures and of those of other prompts."""
    import numpy as np

    wanted: tuple[str, ...] = ("others", known.REAL, known.AGAIN)
    found: dict[tuple[str, str], tuple[list[Picture], NDArray[Any]]] = {}
    for split, pictures in plan.pictures.items():
        for name in wanted:
            some = [each for each in pictures if each.wanted.set == name and not each.error]
            if some:
                shown = [enlarged(each.image, plan.suite.shown) for each in some]
                vectors = [each.pooled.cpu().numpy() for each in embedder.images(shown)]
                found[split, name] = some, np.stack(vectors)
    return found
