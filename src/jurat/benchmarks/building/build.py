"""Builds a set into a folder: drafts, filters, what reviewers decided, samples, card."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from jurat.benchmarks.building.build_report import BuildReport
from jurat.benchmarks.building.filters import doubts, duplicates
from jurat.benchmarks.building.journal import Journal
from jurat.benchmarks.building.review import read_review, write_review
from jurat.benchmarks.building.set_card import card_of
from jurat.benchmarks.building.set_writer import SetWriter
from jurat.benchmarks.building.source_items import source_items
from jurat.benchmarks.building.spec import BuildSpec, read_spec
from jurat.benchmarks.building.writing import Tell, Written, judge_drafts, plan, write_drafts
from jurat.errors import JuratError
from jurat.files import Locked, file_errors, lock, make_folder, write_whole
from jurat.models import Model, open_model
from jurat.models.chat_each import check_can_chat
from jurat.text import shown

SPEC, CARD, LEFT_OUT, LOCK = "spec.yaml", "card.yaml", "left_out.jsonl", ".lock"


def build_set(
    spec_path: Path | str,
    out: Path | str,
    *,
    writer: str | None = None,
    opener: Callable[[str], Model] = open_model,
    tell: Tell = lambda what, done, of: None,
) -> BuildReport:
    """Builds the set of a spec, or goes on with it: recorded replies are not asked for again, and what
    reviewers filled in is taken into account.

    Args:
        spec_path: the YAML file.
        out: the set's folder.
        writer: the name of a model that drafts instead of the spec's.
        opener: opens the writer and the judge by their names.

    Raises:
        JuratError: the spec has errors; the folder holds something else, or another process builds into it;
            a model cannot be opened or chats not.
        ModelUnavailable: a model's server is unreachable; what it replied is recorded.
    """
    spec_path, out = Path(spec_path), Path(out)
    spec = read_spec(spec_path)
    if writer is not None:
        spec = spec.model_copy(update={"writer": spec.writer.model_copy(update={"model": writer})})
    text = spec_path.read_text("utf-8")
    with file_errors(out):
        _check_folder(spec, out)
        make_folder(out)
    try:
        unlock = lock(out / LOCK)
    except Locked as error:
        raise JuratError(f"Another process builds into {shown(str(out))}.") from error
    try:
        with file_errors(out):
            write_whole(out / SPEC, text)
        return _build(spec, spec_path.parent, out, opener, tell)
    finally:
        (out / LOCK).unlink(missing_ok=True)  # while it is held: whoever comes next makes another
        unlock()


def _check_folder(spec: BuildSpec, out: Path) -> None:
    if not out.exists() or all(path.name.startswith(".") for path in out.iterdir()):
        return
    if not (out / SPEC).exists():
        raise JuratError(f"{shown(str(out))} is not empty and holds no set that was built.")
    there = read_spec(out / SPEC).name
    if there != spec.name:
        raise JuratError(f"{shown(str(out))} holds the set {there!r}, not {spec.name!r}.")


def _build(spec: BuildSpec, base: Path, out: Path, opener: Callable[[str], Model], tell: Tell) -> BuildReport:
    report, journal = BuildReport(), Journal(out)
    report.review = read_review(out)
    writer = _chatting(opener, spec.writer.model)
    try:
        drafts = _draft(spec, base, writer, journal, report, tell)
        judged = _judge(spec, opener, journal, drafts, report, tell)
        doubtful = _select(spec, drafts, judged, report)
        with file_errors(out):
            write_review(out, report.review, doubtful)
            _write_set(spec, out, report, tell)
            report.asked, report.recorded = journal.asked, journal.earlier
            _write_left_out(out / LEFT_OUT, report)
            report.writer = journal.names(writer)
            report.card = card_of(spec, report, writer)
            write_whole(out / CARD, _yaml(report.card))
    finally:
        writer.close()
    return report


def _chatting(opener: Callable[[str], Model], name: str) -> Model:
    model = opener(name)
    check_can_chat(model, "drafts are written")
    return model


def _draft(
    spec: BuildSpec, base: Path, writer: Model, journal: Journal, report: BuildReport, tell: Tell
) -> list[Written]:
    sources = {}
    for name, dimension in spec.dimensions.items():
        sources[name], unused = source_items(spec, name, dimension, base)
        for each in unused:
            report.leave_out(f"{name}: {each.name}", "source not used", each.reason)
    drafts = write_drafts(spec, writer, journal, plan(spec, sources), tell)
    report.drafts = len(drafts)
    for each in drafts:
        if each.draft is None:
            report.failed += each.failed
            kind = "unreadable draft" if each.reply else "no draft"
            report.leave_out(each.id, kind, each.problem, each.reply)
    return [each for each in drafts if each.draft is not None]


def _judge(
    spec: BuildSpec,
    opener: Callable[[str], Model],
    journal: Journal,
    drafts: Sequence[Written],
    report: BuildReport,
    tell: Tell,
) -> dict[str, list[str]]:
    if spec.filters.judge is None or not drafts:
        return {}
    judge = _chatting(opener, spec.filters.judge)
    try:
        found = judge_drafts(judge, journal, drafts, tell)
        report.judge = journal.names(judge)
        return found
    finally:
        judge.close()


def _select(
    spec: BuildSpec, drafts: Sequence[Written], judged: dict[str, list[str]], report: BuildReport
) -> list[tuple[Written, list[str]]]:
    """Sorts the drafts into kept, waiting and left out; returns all doubtful ones with the reasons."""
    repeated = duplicates(drafts, spec.filters.near_duplicates)
    doubtful: list[tuple[Written, list[str]]] = []
    about_these = report.review.about({each.review_id for each in drafts})
    report.other_decisions = len(report.review.given) - len(about_these.given)
    report.review = about_these
    for each in drafts:
        reasons = [*doubts(each, spec), *judged.get(each.id, ())]
        decision = report.review.decision(each.review_id)
        if reasons and each.id not in repeated:
            doubtful.append((each, reasons))
        if decision == "accept":
            report.kept.append(each)
        elif decision == "reject":
            who = ", ".join(report.review.reviewers(each.review_id))
            report.leave_out(each.id, "rejected by a reviewer", f"rejected; reviewed by {who}")
        elif each.id in repeated:
            report.leave_out(each.id, "duplicate", repeated[each.id])
        elif reasons or report.review.is_tied(each.review_id):
            report.waiting.append((each, reasons or ["reviewers disagree"]))
            report.leave_out(each.id, "waits for a reviewer", "; ".join(reasons) or "reviewers disagree")
        else:
            report.kept.append(each)
    return doubtful


def _write_set(spec: BuildSpec, out: Path, report: BuildReport, tell: Tell) -> None:
    """Writes pictures and rows; samples that repeat another, and near misses that cannot be made, are left
    out."""
    writer = SetWriter(out, spec)
    for done, each in enumerate(report.kept, 1):
        for id, kind, reason in writer.add(each):
            report.leave_out(id, kind, reason)
        tell("rendered", done, len(report.kept))
    writer.finish()
    report.samples = writer.samples


def _write_left_out(path: Path, report: BuildReport) -> None:
    if report.left_out:
        lines = [json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in report.left_out]
        write_whole(path, "".join(lines))
    else:
        path.unlink(missing_ok=True)


def _yaml(value: object) -> str:
    writer: Any = YAML(typ="safe", pure=True)
    text = io.StringIO()
    writer.default_flow_style, writer.sort_base_mapping_type_on_output = False, False
    writer.width, writer.allow_unicode = 1_000_000, True
    writer.dump(value, text)
    return text.getvalue()
