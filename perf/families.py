"""Families of transformers' image-text-to-text mapping, each asked in batches and one by one.

    python perf/families.py [--only NAME ...] [--json FILE] [--markdown FILE]

Tiny networks with random weights (`tests/models/families.py`, `more_families.py`), so large that every
answer depends on every token. Differences are the largest in log-odds from a call with one question of
one item, in float32:

batch            items with images of several sizes and numbers, six questions of several lengths
long after short then items with questions of up to 40 tokens
mixed            then all of them in one batch, twice
plain, cached    all of them in one batch by these paths alone

`chat` is how many of a batch's conversations are continued by the same tokens as each alone, some of them
beyond the lengths that the configuration names. Items with images are read one a pass where a family does
not take several. The exit code is 1 where a difference is more than rounding.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from measuring import ROOT, Row, files, keep, provenance, report, table

if TYPE_CHECKING:
    from jurat.models.hf.prompt import Prompt

NOISE = 2e-4
"""Log-odds by which answers in float32 may differ."""
SHORT, LONG = (3, 5, 4), (30, 4, 12)
"""Lengths of questions, in tokens."""
SQUARE, WIDE, TALL = (32, 32), (64, 32), (32, 64)
COLUMNS = {
    "family": "{family}",
    "path": "{path}",
    "batch": "{batch:.0e}",
    "long after short": "{long:.0e}",
    "mixed": "{mixed:.0e}",
    "plain": "{plain:.0e}",
    "cached": "{cached:.0e}",
    "chat": "{chat}",
    "items a pass": "{items}",
}
DIFFERENCES = ("batch", "long", "mixed", "plain", "cached")


def trial(family: Any) -> Row:
    """What a family's answers in batches differ by from separate ones, and what was said about it."""
    from jurat.models.hf.scoring import Scorer

    network, ids = family.network(), _answers()
    short, long = prompts(family), longer(family)
    reference = Scorer(network, *ids, path="plain")
    separate = alone(reference, short), alone(reference, long)
    every = [*separate[0], *separate[1]]
    scorer = Scorer(network, *ids)
    row: Row = {"family": family.name}
    row["batch"] = apart(scorer, short, separate[0])
    row["long"] = apart(scorer, long, separate[1])
    row["mixed"] = max(apart(scorer, [*short, *long], every) for _ in range(2))
    for path in ("plain", "cached"):
        row[path] = apart(Scorer(network, *ids, path=path), [*short, *long], every)
    same, of = chats(family, scorer)
    return {
        **row,
        "path": scorer.path,
        "chat": f"{same} of {of}",
        "chat_right": same == of,
        "items": "one" if scorer.apart else "several",
        "reasons": [*scorer.apart.values(), *scorer.unjoined.values(), *scorer.reasons.values()],
    }


def right(row: Row) -> bool:
    return row["chat_right"] and all(row[name] < NOISE for name in DIFFERENCES)


def prompts(family: Any) -> list[Prompt]:
    sizes: list[Sequence[tuple[int, int]] | None] = [(SQUARE,), (WIDE,), (TALL,), (SQUARE,), (SQUARE,), None]
    if family.several:
        sizes += [(SQUARE, WIDE), (TALL, TALL, SQUARE)]
    lengths = [SHORT, SHORT, SHORT, (4, 4, 4), (1, 9, 2), (2, 7, 5), SHORT, SHORT]
    return [family.prompt(seed, lengths[seed - 1], size) for seed, size in enumerate(sizes, 1)]


def longer(family: Any) -> list[Prompt]:
    return [family.prompt(7, LONG, (SQUARE,)), family.prompt(8, (40, 2, 3), (WIDE,))]


def alone(scorer: Any, some: Sequence[Prompt]) -> list[float]:
    return [
        scorer.score([replace(prompt, segments=(segment,))])[0].answers[0].log_odds
        for prompt in some
        for segment in prompt.segments
    ]


def apart(scorer: Any, some: Sequence[Prompt], separate: Sequence[float]) -> float:
    found = [answer.log_odds for one in scorer.score(some) for answer in one.answers]
    return max(abs(a - b) for a, b in zip(found, separate, strict=True))


def chats(family: Any, scorer: Any) -> tuple[int, int]:
    """How many conversations of a batch continue as each does alone, and the size of the batch."""
    from jurat.content import Generation
    from jurat.models.hf.generation import decode
    from models.tiny import make_tokenizer

    network, tokenizer = family.network(), make_tokenizer()
    batch = list(conversations(family))
    settings = [Generation(max_tokens=3 + 3 * (i % 4)) for i in range(len(batch))]
    together = decode(network, tokenizer, batch, settings, scorer)
    separate = []
    for prompt, one in zip(batch, settings, strict=True):
        scorer.fresh()
        separate += decode(network, tokenizer, [prompt], [one])
    return sum(a == b for a, b in zip(together, separate, strict=True)), len(batch)


def conversations(family: Any) -> Iterator[Prompt]:
    """Two images with several conversations about each, of several lengths."""
    for seed, lengths in ((1, (4, 1, 6)), (2, (5, 24)), (3, (2,))):
        prompt = family.prompt(seed, lengths, (SQUARE,))
        yield from (prompt.ending(segment) for segment in prompt.segments)


def families() -> dict[str, Any]:
    """All by name, from the tests."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.append(str(ROOT / "tests"))
    from jurat.models.hf.torchvision_import import prepare_torchvision

    prepare_torchvision()  # before classes of transformers are imported
    from models.families import FAMILIES
    from models.more_families import MORE

    return {family.name: family for family in (*MORE, *FAMILIES)}


def of_before() -> set[str]:
    """Names of the families whose passes the first checks were written for."""
    families()
    from models.families import FAMILIES

    return {family.name for family in FAMILIES}


def _answers() -> tuple[list[int], list[int]]:
    from models.families import NO, YES

    return YES, NO


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of these families only")
    args = files(parser).parse_args(argv)
    known = families()
    if unknown := set(args.only or ()) - set(known):
        raise SystemExit(f"There is no family {', '.join(sorted(unknown))}. There are {', '.join(known)}.")
    origin = provenance(__file__, argv)
    rows: list[Row] = []
    for name in args.only or known:
        rows.append(trial(known[name]))
        keep(args, origin, rows)
    wrong = [row["family"] for row in rows if not right(row)]
    last = f"{len(rows)} families; more than rounding: {', '.join(wrong) or 'none'}"
    report(args, origin, rows, [table(rows, COLUMNS), last])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
