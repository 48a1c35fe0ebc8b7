"""The card of a built set: what it holds, where it comes from, how diverse it is, who reviewed it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from jurat import __version__
from jurat.benchmarks.building.build_report import BuildReport
from jurat.benchmarks.building.diversity import diversity
from jurat.benchmarks.building.prompts import prompts_digest
from jurat.benchmarks.building.spec import BuildSpec
from jurat.models import Disclaimer, Model

LAYOUT = "jurat-layout"


def card_of(spec: BuildSpec, report: BuildReport, writer: Model) -> dict[str, Any]:
    """The card, as its file has it."""
    requests = [each.draft.request for each in report.kept if each.draft]
    left_out = Counter(each.kind for each in report.left_out)
    disclaimer = writer.capability(Disclaimer)
    return {
        "layout": LAYOUT,
        "name": spec.name,
        "title": spec.title,
        "summary": spec.summary,
        "licence": spec.licence,
        "language": spec.language,
        "samples": sum(report.samples.values()),
        "labels": _counts(report, 2),
        "builders": _counts(report, 1),
        "dimensions": {name: _dimension(spec, name, report) for name in spec.dimensions},
        "drafts": {"asked": report.drafts, "kept": len(report.kept)},
        "left_out": dict(left_out),
        "diversity_of_unsafe_requests": diversity(requests, spec.seed),
        "review": _review(report),
        "writer": {
            "model": spec.writer.model,
            "replies": report.writer,
            "disclaimer": None if disclaimer is None else disclaimer.disclaimer,
            "temperature": spec.writer.temperature,
            "prompts_digest": prompts_digest(),
        },
        "judge": {"model": spec.filters.judge, "replies": report.judge} if spec.filters.judge else None,
        "spec_digest": spec.digest,
        "seed": spec.seed,
        "jurat": __version__,
    }


def _counts(report: BuildReport, part: int) -> dict[str, int]:
    found: Counter[str] = Counter()
    for key, count in report.samples.items():
        found[key[part]] += count
    return dict(found)


def _dimension(spec: BuildSpec, name: str, report: BuildReport) -> dict[str, Any]:
    dimension = spec.dimensions[name]
    builders: dict[str, dict[str, int]] = {builder: {} for builder in dimension.builders}
    for (of, builder, label), count in report.samples.items():
        if of == name:
            builders[builder][label] = count
    return {
        "about": dimension.about,
        "hazard": dimension.hazard,
        "unsafe_in": dimension.unsafe_in,
        "drafts": {
            "asked": dimension.volume,
            "kept": sum(each.category == name for each in report.kept),
        },
        "samples": {builder: counts or 0 for builder, counts in builders.items()},
    }


def _review(report: BuildReport) -> dict[str, Any]:
    review = report.review
    decided = {id for id, _ in review.given}
    kept = {each.review_id for each in report.kept}
    return {
        "waiting": len(report.waiting),
        "accepted": len(kept & decided),
        "rejected": sum(each.kind == "rejected by a reviewer" for each in report.left_out),
        "kept_without_review": len(kept - decided),
        "reviewers": dict(Counter(reviewer for _, reviewer in review.given)),
        "agreement": {
            name: value if isinstance(value, str) else value.facts()
            for name, value in review.agreement().items()
        },
        "about_other_drafts": report.other_decisions,
        "problems": review.problems,
    }
