"""Stage two: tower, projector and decoder learn together to answer.

A step takes one kind of question pack for a batch of scenes: the judge's statements (most steps),
the judge's whole rules, free questions (one word, reasons in JSON, descriptions), or statements with
no image at all, answered as often Yes as they are true in this world, which gives the model a language
prior. The dense losses of stage one stay on. A throw-away head grounds every noun of every question:
after the second decoder layer it must tell where the thing is, how many there are and what they touch.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from jurat.judge.prompts import RULE, STATEMENT, Wording
from jurat.pictograms.objects import CLASSES, GROUPS, OBJECTS
from jurat.pictograms.questions import KINDS, Questioner, anything, facts_of
from jurat.pictograms.scene import MOST, SIDE
from jurat.pictograms.statements import HELD_OUT, All, Facts, Statement, forbid
from jurat.pictograms.train.answers import DESCRIBE, ONE_WORD, REASON, YES_NO, describe, open_question, reason
from jurat.pictograms.train.dense import Heads, dense_loss, targets
from jurat.pictograms.train.layout import PATCHES, WIDTH, build
from jurat.pictograms.train.muon import Optimizer, is_hidden_matrix, rate_at
from jurat.pictograms.train.packed import Pack, forward
from jurat.pictograms.train.pool import CELLS, Pool
from jurat.pictograms.train.tower import load_batch, see
from jurat.pictograms.train.words import BOS, EOS, IMAGE, PAD, Words, build_tokenizer

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration

MODES = {"statement": 0.74, "rule": 0.12, "free": 0.09, "no image": 0.05}
CHUNKS, SPAN = 2, 64
BLANKED = 0.06
"""Share of scenes with a blanked-out rectangle."""
RESAMPLED = 0.25
"""Share of scenes that are scaled down and up again."""
TAP = 1


@dataclass
class Settings:
    minutes: float = 70.0
    batch: int = 48
    rate: float = 2.5e-3
    tower: float = 0.4
    dense: float = 0.4
    ground: float = 0.3
    words: float = 0.3
    """Weight of a token of an answer in words, against 1 for a Yes or No."""
    warm_up: int = 60
    hold: float = 0.4
    last: float = 0.02
    seed: int = 1
    workers: int = 2
    save_every: float = 300.0


# --- batches -----------------------------------------------------------------------------------


@dataclass
class Packer:
    """Packs question texts and their answers into the chunks of a batch."""

    size: int
    pad: int
    chunks: int = CHUNKS
    span: int = SPAN

    def __post_init__(self) -> None:
        shape = (self.size, self.chunks, self.span)
        self.ids = np.full(shape, self.pad, np.int64)
        self.text = np.full(shape, -1, np.int64)
        self.position = np.zeros(shape, np.int64)
        self.used = np.zeros((self.size, self.chunks), int)
        self.count = np.zeros((self.size, self.chunks), int)
        self.picks: list[list[tuple[int, int]]] = [[] for _ in range(self.size)]

    def add(self, row: int, question: list[int], answer: list[int]) -> bool:
        """Whether there was room; the answer's last token is predicted, never read."""
        ids = question + answer[:-1]
        for chunk in range(self.chunks):
            start = self.used[row, chunk]
            if start + len(ids) <= self.span:
                end = start + len(ids)
                self.ids[row, chunk, start:end] = ids
                self.text[row, chunk, start:end] = self.count[row, chunk]
                self.position[row, chunk, start:end] = np.arange(len(ids))
                first = chunk * self.span + start + len(question) - 1
                self.picks[row] += [(first + i, token) for i, token in enumerate(answer)]
                self.used[row, chunk] = end
                self.count[row, chunk] += 1
                return True
        return False

    def tensors(self) -> dict[str, np.ndarray]:
        most = max(1, *(len(row) for row in self.picks))
        pick, goal = (np.full((self.size, most), -1, np.int64) for _ in range(2))
        for row, picks in enumerate(self.picks):
            for i, (place, token) in enumerate(picks):
                pick[row, i], goal[row, i] = place, token
        return {"ids": self.ids, "text": self.text, "position": self.position, "pick": pick, "goal": goal}


def blank_out(batch: dict[str, np.ndarray], row: int, rng: np.random.Generator) -> None:
    """Covers a rectangle of a scene; what it hides is gone, and nothing may be half hidden."""
    for _ in range(12):
        wide, high = rng.integers(3, 9, 2)
        x, y = rng.integers(0, CELLS - wide + 1), rng.integers(0, CELLS - high + 1)
        cover = batch["cover"][row].astype(int)
        hidden = cover[:, y : y + high, x : x + wide].sum((1, 2)) / np.maximum(cover.sum((1, 2)), 1)
        if ((hidden > 0.05) & (hidden < 0.8)).any():
            continue
        scale = SIDE // CELLS
        window = batch["pixels"][row, y * scale : (y + high) * scale, x * scale : (x + wide) * scale]
        window[:] = (
            rng.choice([window.mean(), 0, 127, 255]) if rng.random() < 0.6 else rng.integers(0, 256, 3)
        )
        batch["kinds"][row][hidden >= 0.8] = -1
        for name in ("cover", "contact", "seam"):
            batch[name][row][..., y : y + high, x : x + wide] = 0
        return


def resample(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A scene as if it had come in another size, with another brightness."""
    filters = [
        Image.Resampling.BILINEAR,
        Image.Resampling.BICUBIC,
        Image.Resampling.LANCZOS,
        Image.Resampling.BOX,
    ]
    side = int(rng.integers(88, 224))
    image = Image.fromarray(pixels)
    image = image.resize((side, side), filters[rng.integers(4)]).resize(
        (SIDE, SIDE), filters[rng.integers(3)]
    )
    value = np.asarray(image, np.float32)
    if rng.random() < 0.5:
        value = (value - 128) * rng.uniform(0.8, 1.15) + 128 + rng.uniform(-20, 20)
    return np.clip(value, 0, 255).astype(np.uint8)


@dataclass
class Teacher:
    """Writes the questions and answers of one scene after another."""

    words: Words
    rng: random.Random

    def __post_init__(self) -> None:
        self.questioner = Questioner(self.rng)
        self.rules = Questioner(self.rng)
        self.yes, self.no, self.eos = self.words.id("Yes"), self.words.id("No"), self.words.id(EOS)

    def _say(self, statement: Statement) -> str:
        phrases = statement.phrasings(definite=self.rng.random() < 0.3)
        trained = phrases if isinstance(statement, All) else phrases[: len(phrases) - HELD_OUT]
        if isinstance(statement, All):
            trained = phrases[: max(1, len(phrases) - HELD_OUT)]
        return trained[0] if self.rng.random() < 0.35 else self.rng.choice(trained)

    def _closed(self, wording: Wording, text: str, truth: bool) -> tuple[list[int], list[int]]:
        return self.words.ids(f"{wording.ask(text)} ASSISTANT:"), [self.yes if truth else self.no]

    def question(self, mode: str, facts: Facts) -> tuple[list[int], list[int]] | None:
        """Token ids of one question and of its answer."""
        if mode == "no image":
            statement = anything(self.rng)
            truth = statement.truth(facts)
            return None if truth is None else self._closed(STATEMENT, self._say(statement), truth)
        if mode == "rule":
            kind = self.rng.choice(
                ("visible", "any of", "sign", "touch", "touch", "group touch", "whole rule")
            )
            drawn = self.rules.draw(facts, kind)
            ways = forbid(drawn[1]) if drawn else []
            return self._closed(RULE, self.rng.choice(ways), drawn[2]) if drawn and ways else None
        if mode == "statement":
            drawn = self.questioner.draw(facts)
            return self._closed(STATEMENT, self._say(drawn[1]), drawn[2]) if drawn else None
        return self._free(facts)

    def _free(self, facts: Facts) -> tuple[list[int], list[int]] | None:
        chance = self.rng.random()
        if chance < 0.55:
            pair = open_question(facts, self.rng)
            if pair is None:
                return None
            return self.words.ids(f"{pair[0]} {ONE_WORD} ASSISTANT:"), [*self.words.ids(pair[1]), self.eos]
        if chance < 0.60:
            return self.words.ids(f"{DESCRIBE} ASSISTANT:"), [*self.words.ids(describe(facts)), self.eos]
        drawn = self.questioner.draw(facts)
        if drawn is None:
            return None
        if chance < 0.75:
            text = self._say(drawn[1])
            return self.words.ids(f"{text} {YES_NO} ASSISTANT:"), [self.yes if drawn[2] else self.no]
        why = reason(drawn[1], drawn[2], facts)
        if why is None:
            return None
        question = f"{STATEMENT.ask(self._say(drawn[1]))} {REASON} ASSISTANT:"
        return self.words.ids(question), [*self.words.ids(why), self.eos]


def batches(pools: list[Pool], words: Words, size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Endless batches: a mode, rows of the pools, and the packed questions about them."""
    rng, teacher = np.random.default_rng(seed), Teacher(words, random.Random(seed))
    total = sum(map(len, pools))
    while True:
        order = rng.permutation(total)
        for first in range(0, total - size, size):
            batch = load_batch(pools, order[first : first + size])
            mode = str(rng.choice(list(MODES), p=list(MODES.values())))
            packer = Packer(size, words.id(PAD))
            for row in range(size):
                if rng.random() < BLANKED:
                    blank_out(batch, row, rng)
                if rng.random() < RESAMPLED:
                    batch["pixels"][row] = resample(batch["pixels"][row], rng)
                _fill_row(packer, row, teacher, mode, batch)
            yield {"mode": mode, "batch": batch, "pack": packer.tensors()}


def _fill_row(packer: Packer, row: int, teacher: Teacher, mode: str, batch: dict[str, np.ndarray]) -> None:
    facts = facts_of(*(batch[name][row] for name in ("kinds", "centres", "areas", "gaps")))
    if len(facts.kinds) == 0:
        return
    asked: set[tuple[int, ...]] = set()
    misses = 0
    while misses < 4:
        pair = teacher.question(mode, facts)
        if pair is None or tuple(pair[0]) in asked or not packer.add(row, *pair):
            misses += 1
        else:
            asked.add(tuple(pair[0]))


# --- the model and its throw-away heads --------------------------------------------------------


class Grounding(nn.Module):
    """From the state of a noun: where the thing is, how many there are, which classes they touch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.out = nn.Linear(WIDTH, 2 + 5 + CLASSES)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()
            self.out.bias[7:] = -4.0

    def loss(self, states: Tensor, pack: Pack, batch: dict[str, np.ndarray], words: Words) -> Tensor:
        kinds = torch.from_numpy(batch["kinds"].astype(np.int64))
        there = F.one_hot(kinds.clamp(min=0), CLASSES).float() * (kinds >= 0)[..., None]
        own = there @ words.membership  # (B, MOST, nouns)
        centre = torch.from_numpy(batch["centres"]) / (SIDE / 2) - 1
        touching = torch.from_numpy((batch["gaps"] == 0) & ~np.eye(MOST, dtype=bool)).float()
        touching = touching * (kinds >= 0)[:, :, None] * (kinds >= 0)[:, None, :]
        count = own.sum(1)
        middle = torch.einsum("bmn,bmx->bnx", own, centre)
        touched = (torch.einsum("bmn,bmk,bkc->bnc", own, touching, there) > 0).float()
        noun = words.noun_rows[pack.ids]
        here = (noun >= 0) & (pack.text >= 0)
        row = torch.arange(len(kinds))[:, None, None].expand_as(noun)[here]
        noun = noun[here]
        said = self.out(self.norm(states[here]))
        many = count[row, noun]
        single = many == 1
        place = F.smooth_l1_loss(said[single, :2], middle[row, noun][single], beta=0.1)
        number = F.cross_entropy(said[:, 2:7], many.long().clamp(max=4))
        contact = (
            F.binary_cross_entropy_with_logits(said[:, 7:], touched[row, noun], reduction="none")
            .sum(-1)
            .mean()
        )
        return 4 * place + 0.5 * number + 0.5 * contact


def start(words: Words, state: dict[str, Any]) -> tuple[LlavaForConditionalGeneration, Heads]:
    """The model of a checkpoint.

    From one of stage one come tower, projector and names; plurals and groups start from the names.
    """
    model, heads = fresh(words), Heads()
    heads.load_state_dict(state["heads"])
    if "ground" in state:
        model.load_state_dict(state["model"])
        return model, heads
    names = state["model"].pop("model.language_model.embed_tokens.weight")
    seeing = {k: v for k, v in state["model"].items() if "vision_tower" in k or "multi_modal_projector" in k}
    model.load_state_dict(seeing, strict=False)
    rows = model.model.language_model.embed_tokens.weight
    length = names.norm(dim=1).mean()
    with torch.no_grad():
        rows[words.class_rows] = names
        for noun in OBJECTS:
            rows[words.id(noun.plural)] = names[min(noun.classes)]
        for noun in GROUPS:
            mean = names[sorted(noun.classes)].mean(0)
            rows[words.id(noun.singular)] = rows[words.id(noun.plural)] = mean / mean.norm() * length
    return model, heads


def fresh(words: Words) -> LlavaForConditionalGeneration:
    return build(
        len(words.tokenizer),
        image_token=words.id(IMAGE),
        bos=words.id(BOS),
        eos=words.id(EOS),
        pad=words.id(PAD),
    )


def prefix_embeddings(
    model: LlavaForConditionalGeneration, words: Words, mode: str, seen: Tensor | None, size: int
) -> Tensor:
    """Embeddings of what all questions of an item share; `seen` are its projected patches, if any."""
    wording = {"statement": STATEMENT, "no image": STATEMENT, "rule": RULE}.get(mode)
    embed = model.model.language_model.embed_tokens
    before = embed(torch.tensor([words.id(BOS), words.id("USER:")])).expand(size, -1, -1)
    after = embed(torch.tensor(words.ids(wording.instruction if wording else ""), dtype=torch.long))
    parts = [before, *([seen] if seen is not None else []), after.expand(size, -1, -1)]
    return torch.cat(parts, 1)


def question_loss(
    model: LlavaForConditionalGeneration, hidden: Tensor, goal: Tensor, words: Words, weight: float
) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy of the answers, and the share of Yes/No questions answered right."""
    asked = goal >= 0
    goal = goal[asked]
    logits = hidden[asked] @ model.model.language_model.embed_tokens.weight.T
    closed = (goal == words.id("Yes")) | (goal == words.id("No"))
    loss = F.cross_entropy(logits, goal, reduction="none") * torch.where(closed, 1.0, weight)
    right = (logits.argmax(-1) == goal)[closed].float().mean()
    return loss.sum() / torch.where(closed, 1.0, weight).sum(), right


# --- training ----------------------------------------------------------------------------------


def train_joint(folders: list[Path], begin: Path, out: Path, settings: Settings) -> None:
    """Trains for `settings.minutes` from `begin`; continues the checkpoint `out` if it is there.

    `begin` is a checkpoint of stage one, or one of this stage, whose weights and momenta then go
    through a whole new schedule.

    `settings.workers` processes of one thread each take a share of every batch and average their
    gradients. They wait for each other once a step, not at every operation as threads do, so that
    whatever else the machine is doing costs its own time and no more.
    """
    import torch.multiprocessing as multiprocessing

    arguments = (folders, begin, out, settings)
    multiprocessing.spawn(_work, arguments, nprocs=settings.workers)  # pyright: ignore[reportPrivateImportUsage]


def _work(rank: int, folders: list[Path], begin: Path, out: Path, settings: Settings) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    meeting = out.with_suffix(f".{os.getppid()}")
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=settings.workers)
    words = Words(build_tokenizer())
    torch.manual_seed(settings.seed)
    state = torch.load(out if out.exists() else begin, weights_only=True)
    model, heads = start(words, state)
    ground = Grounding()
    optimizer = _optimizer(model, heads, ground, settings)
    elapsed, step = (state["elapsed"], state["step"]) if out.exists() else (0.0, 0)
    if "ground" in state:
        ground.load_state_dict(state["ground"])
        optimizer.restore(state["optimizer"])
    pools = [Pool.open(folder) for folder in folders]
    seed = (settings.seed * 1_000_003 + step) * settings.workers + rank
    stream = batches(pools, words, settings.batch // settings.workers, seed)
    begun, saved, shown = time.monotonic() - elapsed, elapsed, dict[str, float]()
    while True:
        clock = torch.tensor([time.monotonic() - begun], dtype=torch.float64)
        dist.broadcast(clock, 0)
        elapsed = float(clock)
        done = elapsed / (settings.minutes * 60)
        if done >= 1:
            break
        item = next(stream)
        parts, right = losses(model, heads, ground, item, words, settings)
        torch.stack(list(parts.values())).sum().backward()
        _average_gradients(list(optimizer.parameters()))
        optimizer.step(
            rate_at(
                done,
                step,
                peak=settings.rate,
                warm_up=settings.warm_up,
                hold=settings.hold,
                last=settings.last,
            )
        )
        step += 1
        for name, value in {**parts, f"right ({item['mode']})": right}.items():
            shown[name] = 0.97 * shown.get(name, float(value.detach())) + 0.03 * float(value.detach())
        if step % 50 == 0 and rank == 0:
            line = " ".join(f"{name} {value:.3f}" for name, value in shown.items())
            print(
                f"joint {step} {elapsed:.0f} s {step * settings.batch / elapsed:.1f} images/s {line}",
                flush=True,
            )
        if elapsed - saved > settings.save_every:
            saved = elapsed
            if rank == 0:
                _save(out, model, heads, ground, optimizer, elapsed, step, settings)
    if rank == 0:
        _save(out, model, heads, ground, optimizer, elapsed, step, settings)
        meeting.unlink(missing_ok=True)
    dist.destroy_process_group()


def _average_gradients(parameters: list[nn.Parameter]) -> None:
    """Averages over processes; a parameter that one of them did not use counts there as zero."""
    import torch.distributed as dist

    flat = torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)


def losses(
    model: LlavaForConditionalGeneration,
    heads: Heads,
    ground: Grounding,
    item: dict[str, Any],
    words: Words,
    settings: Settings,
) -> tuple[dict[str, Tensor], Tensor]:
    """The weighted parts of one step's loss, and the share of Yes/No questions answered right."""
    batch, mode = item["batch"], item["mode"]
    arrays = {name: torch.as_tensor(value) for name, value in item["pack"].items()}
    pack = Pack(arrays["ids"], arrays["text"], arrays["position"], arrays["pick"])
    batch = {name: np.asarray(value) for name, value in batch.items()}
    size = len(batch["kinds"])
    parts: dict[str, Tensor] = {}
    seen = None
    if mode != "no image":
        seen = see(model, torch.from_numpy(batch["pixels"]))
        assert seen.shape[1] == PATCHES
        names = model.model.language_model.embed_tokens.weight[words.class_rows]
        dense = torch.stack(list(dense_loss(heads, seen, names, targets(batch)).values())).sum()
        parts["dense"] = settings.dense * dense
    prefix = prefix_embeddings(model, words, mode, seen, size)
    hidden, tapped = forward(model.model.language_model, prefix, pack, TAP)
    parts["answer"], right = question_loss(model, hidden, arrays["goal"], words, settings.words)
    if mode != "no image":
        parts["ground"] = settings.ground * ground.loss(tapped, pack, batch, words)
    return parts, right


def _optimizer(
    model: LlavaForConditionalGeneration, heads: Heads, ground: Grounding, settings: Settings
) -> Optimizer:
    tower = {id(p) for p in model.model.vision_tower.parameters()}
    named = [*model.named_parameters(), *heads.named_parameters(), *ground.named_parameters()]
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        groups.setdefault((is_hidden_matrix(name, parameter), id(parameter) in tower), []).append(parameter)
    factor = {True: settings.tower, False: 1.0}
    return Optimizer(
        [(factor[seeing], group) for (hidden, seeing), group in groups.items() if hidden],
        [(factor[seeing], group) for (hidden, seeing), group in groups.items() if not hidden],
    )


def _save(
    out: Path,
    model: nn.Module,
    heads: Heads,
    ground: Grounding,
    optimizer: Optimizer,
    elapsed: float,
    step: int,
    settings: Settings,
) -> None:
    part = out.with_suffix(".part")
    state: dict[str, Any] = {
        "model": model.state_dict(),
        "heads": heads.state_dict(),
        "ground": ground.state_dict(),
    }
    state |= {"optimizer": optimizer.state(), "elapsed": elapsed, "step": step, "settings": asdict(settings)}
    torch.save(state, part)
    part.replace(out)


assert set(KINDS) >= {"visible", "any of", "sign", "touch", "group touch", "whole rule"}
