"""What the engine of attacks adds to the model, and what attacking many pictures at once gains.

    python perf/attacks.py [--pictures 16] [--runs 5] [--json FILE] [--markdown FILE]

A step of projected gradient descent on the bundled model, by turns with a bare forward and backward of the
same model on the same batch; it may take 1.1 times as long. Then the same pictures one at a time: together
they should be attacked at least 3 times as fast.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from measuring import ROOT, Row, bar, by_turns, options, provenance, report, table

QUESTION = (
    "Is the following statement true of this image? Answer with Yes or No. Statement: A dog is visible."
)
ENGINE, BATCH = 1.1, 3.0
COLUMNS = {"what": "{what}", "ms": "{ms:.1f}", "ratio": "{ratio:.2f}"}


def measure(pictures: int, runs: int, threads: int) -> list[Row]:
    import torch
    from PIL import Image

    from jurat.attacks.access import Access
    from jurat.attacks.cases import Case, Goal
    from jurat.attacks.objectives import Draw
    from jurat.attacks.pictures import as_levels, as_pixels
    from jurat.attacks.problem import Batch, Problem
    from jurat.attacks.registry import open_attack
    from jurat.attacks.samplers import All
    from jurat.content import Chat, Turn
    from jurat.models import Differentiable, open_model

    torch.set_num_threads(threads)
    model = open_model("bundled", device="cpu")
    gradients = model.capability(Differentiable)
    assert isinstance(gradients, Differentiable)
    files = sorted((ROOT / "examples" / "scenes").glob("*.png"))
    images = [Image.open(files[i % len(files)]).convert("RGB") for i in range(pictures)]
    cases = [Case(Chat((Turn("user", (image, QUESTION)),)), "Yes") for image in images]
    goals = [
        Goal(as_levels(image), [case], [], [case], lambda *_: False)
        for image, case in zip(images, cases, strict=True)
    ]
    attack: Any = open_attack("carlini?rate=0.004&radius=0.03")
    clean = [as_pixels(goal.clean) for goal in goals]

    def stepper(which: Sequence[int]) -> Callable[[], object]:
        some = [goals[i] for i in which]
        access = Access(model)
        problem = Problem(
            [clean[i] for i in which],
            [attack.constraint(goal) for goal in some],
            attack.objectives([access], some, All()),
            access.spent,
        )
        optimiser = attack.optimiser()
        optimiser.begin(problem, problem.clean)
        batch = Batch(problem, range(len(which)), problem.clean, Draw(0))
        return lambda: optimiser.step(batch)

    def bare() -> None:
        free = [each.clone().requires_grad_() for each in clean]
        made = gradients.continuations(
            [case.chat for case in cases], [[each] for each in free], ["Yes"] * pictures, rounded=True
        )
        torch.autograd.grad(-torch.stack([each.log_probabilities.sum() for each in made]).sum(), free)

    together = stepper(range(pictures))
    alone = [stepper([i]) for i in range(pictures)]
    seconds = by_turns(
        {
            "forward and backward alone": bare,
            "a step of the engine": together,
            "the same pictures one at a time": lambda: [step() for step in alone],
        },
        runs,
    )
    first = seconds["forward and backward alone"]
    return [{"what": what, "ms": 1000 * one, "ratio": one / first} for what, one in seconds.items()]


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--pictures", type=int, default=16, help="pictures in the batch")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, runs=args.runs)
    rows = measure(args.pictures, args.runs, args.threads)
    bars = [
        bar("a step of the engine / forward and backward", rows[1]["ratio"], ENGINE, most=True),
        bar("one at a time / together", rows[2]["ms"] / rows[1]["ms"], BATCH, most=False),
    ]
    report(args, origin, rows, [table(rows, COLUMNS), "\n".join(f"- {line}" for _, line in bars)])
    return 0 if all(met for met, _ in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
