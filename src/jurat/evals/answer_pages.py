"""Logs as a page: the answers to each sample side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalSample, read_eval_log_sample
from inspect_ai.model import ChatMessage, ContentImage, ModelOutput
from inspect_ai.scorer import Score

from jurat.content import ImageError
from jurat.evals.images import bytes_of
from jurat.evals.log_files import Evaluated, asked, event_of, is_same, read_headers, with_samples
from jurat.evals.measures import event_columns
from jurat.evals.pairs import why
from jurat.evals.replies import reply_of
from jurat.evals.results import MISSING
from jurat.report import AnswersPage, Given, Judged, SampleRow, write_answers
from jurat.report.answers.page import LIMIT
from jurat.report.answers.pictures import MOST, picture_of
from jurat.report.gallery import Thumbnail
from jurat.text import counted, reason

Key = tuple[str, str, int]
"""Set, id of the sample, epoch."""


@dataclass(frozen=True)
class _Place:
    """Where a sample is."""

    log: Path
    sample: EvalSample
    """Without its reply."""
    row: int


def write_page_of_logs(
    paths: Sequence[Path],
    out: Path,
    *,
    limit: int = LIMIT,
    overwrite: bool = False,
    left_out: list[str] | None = None,
) -> AnswersPage:
    """Writes a page of logs, files or folders of them; samples that ask the same under one id are one row.

    Images are taken from the logs alone, never from where a log says that they were. Memory holds the texts
    of all logs, and one picture at a time.

    Args:
        left_out: gains a sentence for each log in a folder that cannot be shown (see `read_logs`).

    Raises:
        JuratError: a log cannot be read or holds no samples, or `out` exists already.
    """
    left_out = [] if left_out is None else left_out
    logs = read_headers(paths, left_out)
    rows, places = _rows(logs, left_out)
    titles = list(dict.fromkeys(str(log.facts.get("title") or log.set) for log in logs))
    return write_answers(
        rows,
        lambda number: _picture(places[number]),
        out,
        title=titles[0] if len(titles) == 1 else f"{len(titles)} evaluation sets",
        facts=[(log.name, _told(log)) for log in logs],
        notes=[f"Left out: {each}" for each in left_out],
        limit=limit,
        overwrite=overwrite,
    )


def _rows(logs: Sequence[Evaluated], left_out: list[str]) -> tuple[list[SampleRow], list[_Place]]:
    """The samples of all logs, and where the first log has each. A log that asks something else under the
    same id, or in another way, has a row of its own."""
    rows: list[SampleRow] = []
    places: list[_Place] = []
    by_key: dict[Key, list[_Place]] = {}
    several = len({log.set for log in logs}) > 1
    for header in logs:
        log = with_samples(header, left_out)
        if log is None:
            continue
        judged, names = log.judgements(), log.scorers()
        for at, sample in enumerate(log.samples):
            key = log.set, str(sample.id), sample.epoch
            there = by_key.setdefault(key, [])
            place = next((each for each in there if is_same(each.sample, sample, as_asked=True)), None)
            if place is None:
                as_asked = sample.model_copy(update={"output": ModelOutput(), "scores": None})
                place = _Place(log.path, as_asked, len(rows))
                there.append(place)
                places.append(place)
                rows.append(_row(log, sample, several, f" ({log.name})" if len(there) > 1 else ""))
            said = [
                _judged(name, rows_of_it[at], (sample.scores or {}).get(names[name]))
                for name, rows_of_it in judged.items()
            ]
            rows[place.row].answers.append(_given(log, sample, said))
    return rows, places


def _row(log: Evaluated, sample: EvalSample, several: bool, suffix: str) -> SampleRow:
    expected, images = sample.metadata.get("expected"), len(sample.metadata.get("images") or [])
    facts = {
        "set": log.set if several else None,
        "category": sample.metadata.get("category"),
        "group": sample.metadata.get("group"),
        "expected": ", ".join(map(str, expected)) if isinstance(expected, list) else expected,
        "label": sample.metadata.get("label"),
        "images": f"the first {MOST} of {images} are shown" if images > MOST else None,
    }
    name = (str(sample.id) if log.epochs == 1 else f"{sample.id}, reply {sample.epoch}") + suffix
    return SampleRow(
        name=f"{log.set}: {name}" if several else name,
        asked=list(_asked(sample)),
        facts={what: str(value) for what, value in facts.items() if value},
    )


def _asked(sample: EvalSample) -> Iterator[tuple[str, str]]:
    """The turns as they were asked, and the row's own texts, which may be in the image."""
    turns = asked(sample)
    yield from turns
    fields: Mapping[str, Any] = sample.metadata.get("fields") or {}
    texts = {text for _, text in turns}
    for name, value in fields.items():
        if value and str(value) not in texts:
            yield f"the set's {name}", str(value)


def _given(log: Evaluated, sample: EvalSample, judgements: Sequence[Judged]) -> Given:
    reply = reply_of(sample.output, sample.error.message if sample.error else None)
    note = "cut off by the limit of tokens" if reply.finish == "length" else ""
    if reply.failure is not None:
        note = f"{reply.failure.kind}: {reply.failure.reason}"
    elif not reply.text.strip():
        note = "an empty reply"
    return Given(log.name, reply.text, note, judgements)


def _judged(scorer: str, row: Mapping[str, Any], score: Score | None) -> Judged:
    positive = str(row["positive"])
    about = " ".join(event_columns(positive)) or positive
    grounds = (score.explanation if score else None) or ""
    if row["label"] is None:
        state = "unscored" if why(row) == MISSING else str(row["state"])
        return Judged(scorer, state, about=about, reason=grounds)
    return Judged(scorer, "scored", str(row["label"]), bool(event_of(row)), about, grounds)


def _picture(place: _Place) -> Thumbnail:
    try:
        sample = read_eval_log_sample(
            str(place.log),
            place.sample.id,
            place.sample.epoch,
            resolve_attachments="core",
            exclude_fields={"events", "store"},
        )
        images = [bytes_of(uri) for message in sample.messages for uri in _images(message)]
    except ImageError as error:
        return Thumbnail(None, missing=f"The image cannot be shown: {error}.")
    except Exception as error:  # a damaged log raises what its parts raise
        return Thumbnail(None, missing=f"The log cannot be read: {reason(error)}")
    if not images and sample.metadata.get("images"):
        # Without `shown` it failed before its images were read, or while they were.
        asked_without = "shown" in sample.metadata
        why = "It was asked without its image." if asked_without else "It failed before its image was shown."
        return Thumbnail(None, missing=why)
    return picture_of(images)


def _images(message: ChatMessage) -> list[str]:
    content = [] if isinstance(message.content, str) else message.content
    return [part.image for part in content if isinstance(part, ContentImage)]


def _told(log: Evaluated) -> str:
    samples = counted(log.log.eval.dataset.samples or 0, "sample")
    stopped = "" if log.log.status == "success" else f", stopped early ({log.log.status})"
    return f"{log.set}, protocol {log.protocol}, {samples}{stopped}, {log.path.name}"
