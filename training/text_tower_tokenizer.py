"""Tokenizers for the text towers of CLIP and OWL-ViT: one token for each word and for each name.

A CLIP takes a text's embedding from its end mark. An OWL-ViT finds the end mark as the highest id, and takes
a query that begins with id 0 for padding. So the padding has the first id, and the end mark the id after
the last word of the vocabulary: a word that is appended moves the end mark, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from jurat.pictograms.objects import GROUPS, OBJECTS
from training.vocabulary import read_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, BEGIN, END = "<pad>", "<unk>", "<s>", "</s>"


def build_tokenizer(vocabulary: Path, texts: Iterable[str], limit: int) -> PreTrainedTokenizerFast:
    """A tokenizer with the words of the file `vocabulary`, for `texts` and the names of objects and groups.

    With truncation, it cuts texts at `limit` tokens and keeps the end mark.

    Raises:
        ValueError: `vocabulary` lacks a word of the texts.
    """
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    needed = [PAD, UNKNOWN, BEGIN]
    for noun in (*OBJECTS, *GROUPS):
        needed += [noun.singular, noun.plural]
    for text in texts:
        needed += re.findall(r"\w+|[^\w\s]+", text.lower())
    words = [*read_vocabulary(vocabulary, needed), END]
    ids = {word: i for i, word in enumerate(words)}
    core = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.add_special_tokens(
        [AddedToken(word, special=True, normalized=False) for word in (PAD, UNKNOWN, BEGIN, END)]
    )
    core.add_tokens([AddedToken(word, single_word=True, normalized=True) for word in words if " " in word])
    core.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(BEGIN, ids[BEGIN]), (END, ids[END])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        model_max_length=limit,
        padding_side="right",
    )
