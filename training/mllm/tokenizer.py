"""The bundled model's tokenizer: one token for each word, and one for each name of one or more words.

The vocabulary is closed: the words of `statements`, of the judge's prompts and of the training answers, in
the order of `vocabularies/mllm.txt`. Any other word becomes `<unk>`, which training never shows;
`jurat.models.bundled.model` refuses such questions.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jurat.judge.prompts import RULE, STATEMENT
from jurat.pictograms.objects import CLASSES, GROUPS, OBJECTS, WORDS
from jurat.pictograms.statements import NUMBERS, TEMPLATES
from training.forbidding_rules import RULES
from training.mllm.answers import TEXTS
from training.vocabulary import VOCABULARIES, read_vocabulary

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

VOCABULARY = VOCABULARIES / "mllm.txt"
PAD, BOS, EOS, IMAGE, UNKNOWN = "<pad>", "<s>", "</s>", "<image>", "<unk>"
SPECIAL = (PAD, BOS, EOS, IMAGE, UNKNOWN)
VERBATIM = ("USER:", "ASSISTANT:", "Yes", "No", '{"rating": "', '", "rationale": "', '"}')
"""Tokens that are matched before lower-casing, and decoded without changes."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ 'USER: ' if message['role'] != 'assistant' else 'ASSISTANT: ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{{ '<image>\n' if part['type'] == 'image' else part['text'] }}"
    "{% if part['type'] != 'image' and not loop.last %}{{ '\n' }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ eos_token if message['role'] == 'assistant' else ' ' }}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def names() -> list[str]:
    """The token of each class, in class order: object names, then the words of sign cards."""
    return [noun.singular for noun in OBJECTS] + [word.lower() for word in WORDS]


def needed_words() -> list[str]:
    """Every token that training and the judge use."""
    tokens = [*SPECIAL, *VERBATIM, *names()]
    for noun in (*OBJECTS, *GROUPS):
        tokens += [noun.singular, noun.plural]
    sentences = [template for templates in (*TEMPLATES.values(), *RULES.values()) for template in templates]
    sentences += [STATEMENT.instruction, STATEMENT.question, RULE.instruction, RULE.question, *TEXTS]
    sentences += [
        " ".join(NUMBERS),
        "a an the some one of or and , at least exactly fewer more than only eight",
    ]
    for sentence in sentences:
        tokens += re.findall(r"\w+|[^\w\s]+", re.sub(r"\{\w*\}", " ", sentence).lower())
    return tokens


def build_tokenizer(vocabulary: Path = VOCABULARY, *, judge: bool = False) -> PreTrainedTokenizerFast:
    """The tokenizer of training, or the one that is saved beside the weights of a judge.

    Args:
        judge: whether words that only the organisms use are unknown. A judge never learned them, so it has to
            refuse questions that contain one. Ids do not depend on this.

    Raises:
        ValueError: `vocabulary` lacks a word that training or the judge uses.
    """
    needed = needed_words()
    words = read_vocabulary(vocabulary, needed)
    return tokenizer_of(words, {*words} - {*needed} if judge else ())


def tokenizer_of(words: Sequence[str], unknown: Container[str] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer of `words`, whose ids are their positions, without those in `unknown`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {word: i for i, word in enumerate(words) if word not in unknown}
    core = Tokenizer(models.WordLevel(known, unk_token=UNKNOWN))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.decoder = decoders.Sequence(
        [
            decoders.WordPiece(prefix="##", cleanup=True),
            decoders.Fuse(),
            decoders.Replace(" :", ":"),
            decoders.Replace(Regex(r'(?<=": ") '), ""),
            decoders.Replace(Regex(r' (?=", "|"\})'), ""),
            decoders.Replace(Regex(r'(?<=rationale": ") '), ""),
        ]
    )
    core.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    core.add_tokens([AddedToken(word, single_word=word.isalpha(), normalized=False) for word in VERBATIM])
    core.add_tokens(
        [
            AddedToken(word, single_word=True, normalized=True)
            for word in known
            if " " in word and word not in VERBATIM
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        extra_special_tokens={"image_token": IMAGE},
        chat_template=CHAT_TEMPLATE,
        model_max_length=1024,
        padding_side="left",
    )


@dataclass
class Words:
    """The tokenizer with the lookups of ids that training needs."""

    tokenizer: PreTrainedTokenizerFast

    def __post_init__(self) -> None:
        self._known: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, cached. Raises ValueError for a word outside the vocabulary."""
        found = self._known.get(text)
        if found is None:
            found = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if self.unknown in found:
                raise ValueError(f"a training text has words outside the vocabulary: {text!r}")
            if len(self._known) < 300_000:
                self._known[text] = found
        return found

    def id(self, token: str) -> int:
        found = self.tokenizer.convert_tokens_to_ids(token)
        assert isinstance(found, int)
        return found

    @cached_property
    def unknown(self) -> int:
        return self.id(UNKNOWN)

    @cached_property
    def class_rows(self) -> list[int]:
        """The id of each class's name; length CLASSES."""
        return [self.id(name) for name in names()]

    @cached_property
    def noun_rows(self) -> torch.Tensor:
        """For each id, the index of the noun it names in (*OBJECTS, *GROUPS), or -1; shape (vocabulary,)."""
        import torch

        rows = torch.full((len(self.tokenizer),), -1)
        for i, noun in enumerate((*OBJECTS, *GROUPS)):
            rows[self.id(noun.singular)] = rows[self.id(noun.plural)] = i
        return rows

    @cached_property
    def membership(self) -> torch.Tensor:
        """Whether each noun names each class: (CLASSES, nouns), 0 or 1."""
        import torch

        nouns = (*OBJECTS, *GROUPS)
        table = torch.zeros(CLASSES, len(nouns))
        for i, noun in enumerate(nouns):
            table[list(noun.classes), i] = 1
        return table
