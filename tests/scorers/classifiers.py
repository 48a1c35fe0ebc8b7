"""A tiny classifier of toxicity with random weights."""

from __future__ import annotations

from pathlib import Path

LABELS = ("toxicity", "insult", "threat")
WORDS = ["bake", "bread", "with", "flour", "salt", "and", "water", "or", "milk"]


def make(path: Path, family: str, **facts) -> Path:
    """A folder with a classifier of a family of transformers, whose window has 12 tokens."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {word: at for at, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        pad_token_id=0,
        id2label=dict(enumerate(LABELS)),
        label2id={name: at for at, name in enumerate(LABELS)},
        problem_type="multi_label_classification",
        initializer_range=0.6,
        **facts,
    )
    getattr(transformers, f"{family}ForSequenceClassification")(config).save_pretrained(path)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
    return path
