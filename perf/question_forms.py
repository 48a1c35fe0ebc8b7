"""How often a bundled model is right, by kind and form of question: `python perf/question_forms.py`.

The questions are those of the exam behind the model card (`training.mllm.evaluation`): each kind in the
shares of training, and each form (absent arguments, near misses, look-alikes, negations, counts) `--n`
times, on fresh scenes, in phrasings of training, asked of the network alone: no gate, no refusals, no
presence questions. With `--reasons` the model also reasons in words about some questions of each kind.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Row, files, provenance, report, run_script, table

if TYPE_CHECKING:
    from training.mllm.tokenizer import Words

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]
FOLDERS = {"bundled": "mllm", "naive": "naive"}


def own_words(folder: Path) -> Words:
    """The words that a model was trained with: one that is newer than it is an unknown word to it."""
    from transformers import AutoTokenizer

    from training.mllm.tokenizer import Words

    class Known(Words):
        def ids(self, text: str) -> list[int]:
            return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    return Known(AutoTokenizer.from_pretrained(folder))


def main(argv: list[str] | None = None) -> None:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--n", type=int, default=300, help="questions of each form")
    parser.add_argument("--model", default="bundled", help="bundled, naive, or a folder with weights")
    parser.add_argument("--seed", type=int, default=5_600_000_000, help="of the first scene")
    parser.add_argument("--reasons", action="store_true", help="also ask for reasons")
    args = parser.parse_args(argv)
    folder = folder_of(args.model)
    if folder is None:
        parser.error(f"--model {args.model}: no folder of a model of the kind of {' and '.join(FOLDERS)}")
    origin = provenance(__file__, argv, seed=args.seed, model=args.model)
    rows = measure(folder, args.n, args.seed, reasons=args.reasons)
    columns = {"question": "{kind}", "percent right": "{percent}", "95% interval": "{low}-{high}", "n": "{n}"}
    report(args, origin, rows, [table(rows, {"view": "{view}", **columns})])


def folder_of(model: str) -> Path | None:
    """Where a model's weights are; None unless its words are those of the bundled models."""
    from jurat.models.bundled.model import WEIGHTS
    from jurat.models.bundled.word_vocabulary import has_word_tokenizer

    folder = WEIGHTS.parent / FOLDERS[model] if model in FOLDERS else Path(model)
    return folder if has_word_tokenizer(folder) else None


def measure(folder: Path, n: int, seed: int, *, reasons: bool) -> list[Row]:
    """Rows as on the card."""
    import torch

    from jurat.models.hf.torchvision_import import prepare_torchvision

    prepare_torchvision()
    from transformers import AutoModelForImageTextToText

    from jurat.models.bundled.model import BundledModel
    from jurat.models.hf.weights import check_folder
    from training.mllm.evaluation import as_rows, examine, set_exam
    from training.mllm.reply_evaluation import examine_reasons

    torch.set_num_threads(1)
    check_folder(folder)
    network: Any = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    exam = set_exam(n, "as trained", seed, per_form=n)
    results = {"as trained": examine(network, own_words(folder), exam, "as trained")}
    if reasons:
        opened = BundledModel(folder, device="cpu")
        opened.ask_anything()
        results |= examine_reasons(opened, max(2, n // 10), seed + 100_000_000)
    return as_rows(results)


if __name__ == "__main__":
    run_script(main)
