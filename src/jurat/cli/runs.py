"""Resumable runs: what `_run.json` holds, and when resuming is refused."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from jurat import __version__
from jurat.cli.redecide import redecide_run
from jurat.cli.settings_difference import differences, only_thresholds, settings_in
from jurat.errors import JuratError
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.cli.source_options import Sourcing
    from jurat.judge import Judge
    from jurat.runs import Sink
    from jurat.runs.folder import RunSink
    from jurat.runs.recorded_items import Recorded
    from jurat.sources.passed_over import PassedOver

Fresh = Annotated[
    bool,
    typer.Option("--fresh", help="Begin anew: the run that is in --out DIR is renamed to DIR.before-1."),
]
RetryErrors = Annotated[
    bool, typer.Option("--retry-errors", help="Judge items of the run in --out DIR anew that were errors.")
]

SCHEMA = 1
FILE_SUFFIXES = frozenset((".jsonl", ".ndjson", ".parquet", ".pq"))
"""Of an --out that is a file."""
_NOT_FOLDERS = frozenset(
    (
        ".txt",
        ".csv",
        ".tsv",
        ".json",
        ".html",
        ".htm",
        ".md",
        ".yaml",
        ".yml",
        ".arrow",
        ".tar",
        ".zip",
        ".gz",
    )
)
_LIBRARIES = (
    "torch",
    "transformers",
    "openai",
    "numpy",
    "pillow",
    "pyarrow",
    "fsspec",
    "ray",
    "pydantic",
    "av",
)


def is_folder(out: Path | None) -> bool:
    """Whether an --out names a run's folder and not a file."""
    if out is None or str(out) == "-":
        return False
    suffix = out.suffix.lower()
    return suffix not in FILE_SUFFIXES and (suffix not in _NOT_FOLDERS or os.path.isdir(out))


def check_folder(folder: Path, *, overwrite: bool, fresh: bool, retry_errors: bool) -> None:
    """Says that there can be no run in a folder, before a model is loaded."""
    from jurat.runs.folder import is_run, other_files

    if overwrite:
        raise JuratError(
            f"{folder} is the folder of a run, and --overwrite replaces files.",
            hint="Without it the same command goes on; --fresh sets that run aside and begins anew.",
        )
    if folder.exists() and not folder.is_dir():
        raise JuratError(f"{folder} is a file.", hint="Name it .jsonl or .parquet, or name a folder.")
    if folder.is_dir() and not is_run(folder) and other_files(folder):
        raise JuratError(
            f"{folder} has other files in it, and is not the folder of a run.", hint="Name another."
        )
    if retry_errors and (fresh or not is_run(folder)):
        raise JuratError(f"There is no run in {folder} whose errors could be tried again.")


def settings_of(judge: Judge, sourcing: Sourcing, *, allow_unknown: bool) -> dict[str, Any]:
    """All that verdicts hang on: a run goes on only where it is the same."""
    from jurat.models import full_name

    options = sourcing.options
    conversations = [options.conversation_column, options.prompt_column, options.response_column]
    return {
        "model": full_name(judge.model),
        "dtype": judge.model.dtype,
        "constitution": judge.constitution.digest,
        "thresholds": judge.constitution.thresholds_digest,
        "preset": judge.preset.name,
        "preset_settings": asdict(judge.preset),
        "prompts": judge.prompts,
        "calibration": None if judge.calibration is None else judge.calibration.digest,
        "detector": full_name(judge.detector),
        "matcher": full_name(judge.matcher),
        "allow_unknown": allow_unknown,
        "shard": None if sourcing.shard is None else str(sourcing.shard),
        "known": None if sourcing.known is None else sourcing.known.digest,
        "reuse_near": None if sourcing.near is None else sourcing.near.distance,
        "columns": [sourcing.options.column, sourcing.options.id_column],
        "captions": sourcing.options.caption_column,
        "frames": [judge.sampling.fps, judge.sampling.frames, judge.frames_needed],
        **({"conversations": conversations} if any(conversations) else {}),
    }


def facts_of(judge: Judge, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `_run.json` holds of a new run."""
    from jurat.constitution import to_yaml
    from jurat.judge.prompts import REASONING, WORDINGS

    law = judge.constitution
    rules = [
        {
            "id": rule.id,
            "rule": rule.rule,
            "severity": rule.severity,
            "action": rule.action,
            "keep_below": rule.keep_below,
            "break_above": rule.break_above,
        }
        for rule in law.rules
    ]
    return {
        "schema": SCHEMA,
        "settings": dict(settings),
        "constitution": {
            "name": law.name,
            "version": law.version,
            "digest": law.digest,
            "text": to_yaml(law),
            "rules": rules,
        },
        "thresholds": {
            rule.id: {"keep_below": rule.keep_below, "break_above": rule.break_above} for rule in law.rules
        },
        "calibration": None
        if judge.calibration is None
        else judge.calibration.model_dump(mode="json", by_alias=True),
        "prompts": {kind: asdict(cast(Any, wording)) for kind, wording in WORDINGS.items()},
        "reasoning": None if judge.reasoning is None else asdict(REASONING[judge.reasoning]),
        "sessions": [],
    }


@dataclass
class Opened:
    """A run that items are added to."""

    sink: RunSink
    outcomes: Counter[str]
    """Of the rows that were there before."""
    told: str = ""
    """A line for a person."""


def open_run(
    folder: Path,
    judge: Judge,
    sourcing: Sourcing,
    *,
    fresh: bool,
    retry_errors: bool,
    allow_unknown: bool,
    quiet: bool = False,
) -> Opened:
    """Begins a run in a folder, or goes on with the one that is there; tells `sourcing` what is recorded.

    Where only thresholds, severities or actions differ from the run's, its verdicts are decided again first.

    Raises:
        JuratError: the run was made under other settings (it shows the difference), another process is
            writing to it, or the folder cannot be written.
    """
    from jurat.judge import arrow_schema
    from jurat.runs.folder import RunSink, is_run, set_aside

    told = ""
    if fresh and is_run(folder):
        told = f"The run that was in {folder} is now in {set_aside(folder)}."
    sink = RunSink(folder, arrow_schema)
    try:
        new = facts_of(judge, settings_of(judge, sourcing, allow_unknown=allow_unknown))
        told = "\n".join(line for line in (told, _begin(sink, judge, new, quiet=quiet)) if line)
        if retry_errors:
            told = "\n".join(line for line in (told, _retried(sink.drop_errors())) if line)
        outcomes: Counter[str] = Counter()
        sourcing.recorded = _index(folder, outcomes)
        return Opened(sink, outcomes, told)
    except BaseException as error:
        sink.__exit__(type(error), error, None)
        raise


def restore(sink: Sink) -> int:
    """After a whole pass: puts back errors that were to be tried again, and whose items are gone."""
    from jurat.runs.folder import RunSink

    return sink.restore_errors() if isinstance(sink, RunSink) else 0


def record_passed_over(sink: Sink, passed_over: PassedOver) -> None:
    """Writes into `_run.json` what this session found and passed over."""
    from jurat.runs.folder import RunSink, read_facts, write_facts

    if isinstance(sink, RunSink) and (counts := passed_over.as_dict()):
        facts = read_facts(sink.folder)
        facts["sessions"][-1]["passed_over"] = counts
        write_facts(sink.folder, facts)


def _begin(sink: RunSink, judge: Judge, new: dict[str, Any], *, quiet: bool) -> str:
    """Writes `_run.json`, or checks that the run there may go on; what was done to its rows."""
    from jurat.judge.presets import check_made_without
    from jurat.runs.folder import is_run, read_facts, write_facts

    facts, session = read_facts(sink.folder) if is_run(sink.folder) else new, _session()
    check_made_without(str(settings_in(facts).get("preset")))
    if facts is not new and only_thresholds(facts, new):
        return redecide_run(sink, judge, facts, new, session, quiet=quiet)
    if facts is not new:
        _check_same(sink.folder, facts, new)
    cast("list[Any]", facts.setdefault("sessions", [])).append(session)
    write_facts(sink.folder, facts)
    return ""


def _retried(dropped: int) -> str:
    if not dropped:
        return "There were no errors."
    return f"{counted(dropped, 'item that was an error is', 'items that were errors are')} judged anew."


def recorded(folder: Path, *, but_errors: bool) -> Recorded | None:
    """The items of the run in a folder, all or those that are no errors; None where there is none."""
    from jurat.runs.folder import is_run

    return _index(folder, Counter(), but_errors=but_errors) if is_run(folder) else None


def _index(folder: Path, outcomes: Counter[str], *, but_errors: bool = False) -> Recorded:
    """The items that are recorded; counts their outcomes."""
    from jurat.runs.folder import run_rows
    from jurat.runs.recorded_items import Recorded, item_key

    def keys() -> Iterator[bytes]:
        for row in run_rows(folder, ["id", "occurrence", "outcome"]):
            outcomes[row["outcome"]] += 1
            if but_errors and row["outcome"] == "error":
                continue
            yield item_key(row["id"], row["occurrence"] or 0)

    return Recorded(keys())


def _check_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    lines = differences(old, new)
    if settings_in(old) != settings_in(new):
        raise JuratError(
            f"{folder} holds a run under other settings:\n" + "\n".join(lines),
            hint="Give another --out to keep both apart; --fresh sets that run aside and begins anew.",
        )


def _session() -> dict[str, Any]:
    """How and on what this part of the run is done; nothing that names the machine, or lets anyone in."""
    ours = Path(sys.argv[0]).name in ("jurat", "__main__.py")
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": command_line() if ours else "jurat",
        "jurat": __version__,
        "python": platform.python_version(),
        "libraries": dict(_versions(_LIBRARIES)),
        "machine": _machine(),
    }


def command_line() -> str:
    """The command that this process was given, as it may be recorded and published."""
    from jurat.text import recorded as without_secrets

    return shlex.join(["jurat", *map(without_secrets, sys.argv[1:])])


def _versions(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _machine() -> dict[str, Any]:
    facts: dict[str, Any] = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["memory_gib"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    torch = cast(Any, sys.modules.get("torch"))
    if torch is not None and torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts
