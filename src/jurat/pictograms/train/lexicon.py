"""Tokenizers for the text towers of the eyes: one token a word, and one token a name, as in `words`.

A CLIP takes a text's embedding from its end mark, and an OWL-ViT finds that as the highest id and takes a
query that begins with id 0 for padding; hence the order of the special tokens here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jurat.pictograms.objects import GROUPS, OBJECTS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, BEGIN, END = "<pad>", "<unk>", "<s>", "</s>"


def build_lexicon(texts: Iterable[str], limit: int) -> PreTrainedTokenizerFast:
    """A tokenizer whose words are the names of objects and groups and what `texts` hold.

    It cuts texts at `limit` tokens where it is told to cut them, the end mark not among what is lost.
    """
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [PAD, UNKNOWN, BEGIN]
    for noun in (*OBJECTS, *GROUPS):
        words += [noun.singular, noun.plural]
    for text in texts:
        words += re.findall(r"\w+|[^\w\s]+", text.lower())
    words = [*dict.fromkeys(words), END]
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
