"""Our metrics as Inspect's."""

from __future__ import annotations

from collections import Counter

from inspect_ai.scorer import Metric, SampleScore, Value, metric


@metric(name="counts", scores="unreduced")
def counts() -> Metric:
    """How many judgements have each label, and how many have none, by the reason."""

    def count(scores: list[SampleScore]) -> Value:
        found = Counter(str(each.score.value) for each in scores)
        return {"samples": len(scores), **{f"of {name}": number for name, number in sorted(found.items())}}

    return count
