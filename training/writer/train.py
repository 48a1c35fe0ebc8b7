"""The bundled writer: its vocabulary, training data, training and export.

A Llama of under a million parameters reads a rule and writes its clauses
(`jurat.models.bundled.rule_writer`). Bans and their wordings are drawn at random; those that
`rule_meanings.held_out` names, and the last of each list of wordings, are never shown. One sentence in
sixteen is not a rule, to be answered with "nothing.".
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jurat.models.bundled.rule_writer import END, NOTHING, PAD, START, UNKNOWN, WRITE
from jurat.models.bundled.writer_language import WriterLanguage
from jurat.pictograms.objects import GROUPS, OBJECTS, WORDS
from jurat.pictograms.statements import NUMBERS, TEMPLATES
from training import rule_templates
from training.lineage import load_parts
from training.optimizer import Group
from training.rule_meanings import Ban, Either, draw_ban, held_out
from training.rule_wordings import no_rule, wording
from training.stages import Task
from training.vocabulary import VOCABULARIES, read_vocabulary

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = VOCABULARIES / "writer.txt"
WIDTH, LAYERS, HEADS, FEED_FORWARD = 128, 4, 4, 352
LONGEST = 384
"""Largest number of tokens in a rule with its clauses."""
NO_RULE_SHARE = 1 / 16


# --- words -------------------------------------------------------------------------------------


def language() -> WriterLanguage:
    """The language of the writer's output, as saved beside the weights."""
    sides = ("left of", "right of", "above", "below")
    kinds = ("visible", "touches", *sides, "count", "one", "reads", "larger", "only")
    return WriterLanguage(
        nouns={noun.singular: (noun.indefinite, noun.plural) for noun in (*OBJECTS, *GROUPS)},
        words=WORDS,
        numbers=NUMBERS,
        statements={kind: TEMPLATES[kind][0] for kind in kinds},
        phrases={
            "visible": "{a}",
            "touches": "{a} touching {b}",
            **{side: f"{{a}} {side} {{b}}" for side in sides},
            "count": "{n}",
            "one": "{n}",
            "reads": "a sign that reads {w}",
            "larger": "{a} larger than {b}",
            "only": "nothing but {a}",
        },
        shown={kind: ("a", "b") for kind in ("touches", *sides, "larger")},
    )


def needed_words() -> list[str]:
    """Every token that rules and clauses use: one for each word, and one for each name of one or more
    words."""
    tokens = [PAD, START, WRITE, END, UNKNOWN, *"{}:.,?"]
    for noun in (*OBJECTS, *GROUPS):
        tokens += [noun.singular, noun.plural]
    sentences = [*WORDS, *NUMBERS[1:4], *language().statements.values(), NOTHING, *rule_templates.templates()]
    sentences += ["unless not a an or and nor exactly at least"]
    for sentence in sentences:
        tokens += re.findall(r"\w+", re.sub(r"\{\w*\}", " ", sentence).lower())
    return tokens


def build_tokenizer(vocabulary: Path = VOCABULARY) -> PreTrainedTokenizerFast:
    """The tokenizer, as saved beside the weights.

    Raises:
        ValueError: `vocabulary` lacks a word of the rules or clauses.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = read_vocabulary(vocabulary, needed_words())
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True)
    core.add_special_tokens(
        [AddedToken(word, special=True, normalized=False) for word in (PAD, START, WRITE, END, UNKNOWN)]
    )
    core.add_tokens([AddedToken(word, single_word=True, normalized=True) for word in words if " " in word])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[WRITE],
        model_max_length=LONGEST,
        padding_side="left",
    )


# --- what it is shown --------------------------------------------------------------------------


def clauses_of(ban: Ban) -> str:
    """The clauses that the writer should write for a ban."""

    def clause(either: Either) -> str:
        said = " ".join(map(str, either))
        return said if len(either) == 1 else f"{{{said}}}"

    lines = [clause(part) for part in ban.parts]
    lines += [f"not: {clause(ban.absent)}"] if ban.absent else []
    lines += [f"unless: {clause(each)}" for each in ban.unless]
    return " ".join(lines)


def draw_pair(rng: random.Random) -> tuple[str, str]:
    """A rule with its clauses, none of them held out, or a sentence that is no rule with `NOTHING`."""
    while held_out(ban := draw_ban(rng)):
        pass
    if rng.random() < NO_RULE_SHARE:
        return no_rule(ban, rng), NOTHING
    return wording(ban, rng), clauses_of(ban)


def make_batches(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[tuple[Tensor, Tensor]]:
    """Token ids (B, L) and targets (B, L), -100 where nothing is predicted, in up to four batches of rows of
    similar length."""
    start, write, end, pad = tokenizer.convert_tokens_to_ids([START, WRITE, END, PAD])
    asked, answers = (
        tokenizer(list(texts), add_special_tokens=False)["input_ids"] for texts in zip(*pairs, strict=True)
    )
    rows = sorted(
        (([start, *rule, write], [*clauses, end]) for rule, clauses in zip(asked, answers, strict=True)),
        key=lambda row: len(row[0]) + len(row[1]),
    )
    made: list[tuple[Tensor, Tensor]] = []
    span = -(-len(rows) // 4)
    for group in (rows[first : first + span] for first in range(0, len(rows), span)):
        longest = max(len(rule) + len(clauses) for rule, clauses in group)
        ids = torch.full((len(group), longest), pad)
        goal = torch.full((len(group), longest), -100)
        for row, (rule, clauses) in enumerate(group):
            ids[row, : len(rule) + len(clauses)] = torch.tensor(rule + clauses)
            goal[row, len(rule) - 1 : len(rule) + len(clauses) - 1] = torch.tensor(clauses)
        made.append((ids, goal))
    return made


# --- training ----------------------------------------------------------------------------------


def fresh(tokenizer: Any) -> LlamaForCausalLM:
    """A writer with fresh weights, in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Faster than fused attention in the backward pass on a CPU.
        attn_implementation="eager",  # pyright: ignore[reportCallIssue]
    )
    model = LlamaForCausalLM(config)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            nn.init.normal_(weight, std=WIDTH**-0.5 if "embed" in name else weight.shape[1] ** -0.5)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.data.mul_(0.5 / LAYERS**0.5)
    rows, many = model.model.embed_tokens.weight.data, torch.randn(WIDTH) * WIDTH**-0.5
    for noun in (*OBJECTS, *GROUPS):  # so that a plural begins as its singular, turned one way for all
        one, several = tokenizer.convert_tokens_to_ids([noun.singular, noun.plural])
        rows[several] = rows[one] + many
    return model


class WriterLesson:
    """Lesson of the writer; see the module's docstring. It has no settings."""

    def __init__(self, task: Task) -> None:
        torch.manual_seed(task.stage.schedule.seed)
        self._tokenizer = build_tokenizer()
        self._model = fresh(self._tokenizer)
        self.modules: dict[str, nn.Module] = {"model": self._model}
        self.counts = Counter[str]()

    def groups(self) -> Sequence[Group]:
        return [Group(list(self._model.named_parameters()))]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        words = random.Random(int(rng.integers(2**62)))
        pairs = [draw_pair(words) for _ in range(size)]
        self.counts["rules"] += sum(clauses != NOTHING for _, clauses in pairs)
        self.counts["sentences that are no rules"] += sum(clauses == NOTHING for _, clauses in pairs)
        return {"clauses": self._loss(pairs)}, {}

    def _loss(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """Mean cross-entropy of the predicted tokens."""
        total, tokens = torch.zeros(()), 0
        for ids, goal in make_batches(self._tokenizer, pairs):
            hidden: Any = self._model.model(input_ids=ids).last_hidden_state
            asked = goal >= 0
            logits = self._model.lm_head(hidden[asked])
            total = total + F.cross_entropy(logits, goal[asked], reduction="sum")
            tokens += int(asked.sum())
        return total / tokens

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Mean probability of the right token, on clauses drawn with another seed."""
        words = random.Random(-1)
        return {"token": math.exp(-float(self._loss([draw_pair(words) for _ in range(96)])))}


def export_writer(stage: Path, folder: Path) -> None:
    """Writes weights (bfloat16 safetensors), configuration, tokenizer and language of a finished stage."""
    model: Any
    tokenizer = build_tokenizer()
    model = fresh(tokenizer)
    model.load_state_dict(load_parts(stage)["model"], strict=False)
    model.tie_weights()
    model.config.dtype = torch.bfloat16
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    language().save(folder)
