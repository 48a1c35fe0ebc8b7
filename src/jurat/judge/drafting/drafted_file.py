"""Drafts the missing parts of a constitution's file, each marked for review."""

from __future__ import annotations

import codecs
import difflib
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from jurat.constitution import ConstitutionError, parse_constitution
from jurat.constitution.amend import Amendment, amend, inline, shorthand
from jurat.constitution.files import SHELF_PREFIX, find_file, read_text
from jurat.constitution.guidelines import Skeleton, is_guidelines, skeleton
from jurat.content import Failure
from jurat.files import written_aside
from jurat.judge.drafting.draft import ROUNDS, Draft, draft_rules, lacks
from jurat.models import Model, full_name


@dataclass(frozen=True)
class DraftedFile:
    """A constitution's text before and after drafting."""

    before: str
    after: str
    file: Path
    """The file that `before` was read from."""
    drafts: tuple[Draft, ...]
    """Drafts of the rules that lacked something."""
    complete: int
    """How many of the rules that were asked for lacked nothing."""
    skeleton: Skeleton | None = None
    """What `before` was made into first, where it is guidelines and no constitution."""

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def diff(self, name: str) -> str:
        """The change as a patch; "" where there is none."""
        old = "" if self.skeleton else self.before
        before, after = (text.splitlines(keepends=True) for text in (old, self.after))
        patch = difflib.unified_diff(before, after, name, name)
        ending = "\n\\ No newline at end of file\n"
        return "".join(line if line.endswith("\n") else f"{line}{ending}" for line in patch)

    @property
    def failed(self) -> tuple[Draft, ...]:
        return tuple(draft for draft in self.drafts if draft.problems)

    @property
    def doubtful(self) -> tuple[Draft, ...]:
        """Those whose clauses a person has to look at: they stand in the file as comments only."""
        return tuple(draft for draft in self.drafts if draft.doubts)

    @property
    def hopeless(self) -> bool:
        """True where the writer failed on every rule, and gave nothing."""
        return bool(self.drafts) and all(draft.problems and draft.empty for draft in self.drafts)


def draft_file(
    path: str | Path,
    model: Model | None = None,
    *,
    rules: Iterable[str] = (),
    rounds: int = ROUNDS,
    force: bool = False,
    on: date | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> DraftedFile:
    """Drafts what the rules of a constitution's file lack. Nothing is written to disk.

    Args:
        path: the file, or "shelf:NAME". Guidelines in prose or Markdown are made into rules first
            (`jurat.constitution.guidelines`).
        model: the writer; None leaves the rules of guidelines to be filled in.
        rules: ids of the rules to draft; all if empty.
        rounds: see `draft_rules`.
        force: also write over texts, clauses and descriptions that the file has.
        on: the date of the marks; today if None.
        tell: is called with a few words before each step.

    Raises:
        ConstitutionError: the file cannot be used, has no rule of such an id, or is a constitution and no
            writer was given.
    """
    file = find_file(path)
    before = read_text(file)
    outline = skeleton(before, file.name) if is_guidelines(before) else None
    text = before if outline is None else outline.text
    if model is None and outline is None:
        raise ConstitutionError(
            f"{file} is a constitution already, and drafting what it lacks takes a writer.",
            hint="Name a model that can chat: --writer MODEL; see: jurat models",
        )
    if model is None:
        return DraftedFile(before, text, file, (), 0, outline)
    constitution = parse_constitution(text, file=str(file))
    wanted = _chosen([rule.id for rule in constitution.rules], tuple(rules), str(file))
    lacking = [i for i in wanted if lacks(constitution.rules[i], force=force)]
    drafts = draft_rules(
        [constitution.rules[i] for i in lacking], model, rounds=rounds, force=force, tell=tell
    )
    by = f"{full_name(model)}, {on or date.today()}"
    amendments = [_amendment(i, draft, by, force) for i, draft in zip(lacking, drafts, strict=True)]
    after, refused = _written(text, [a for a in amendments if a], str(file))
    drafts = [
        _with_problem(draft, refused[i]) if i in refused else draft
        for i, draft in zip(lacking, drafts, strict=True)
    ]
    return DraftedFile(before, after, file, tuple(drafts), len(wanted) - len(lacking), outline)


def target_of(ref: str, out: Path | None, *, force: bool = False) -> Path:
    """The file to write. Guidelines are not changed: their constitution is written beside them. Raises before
    a writer is asked if the file cannot be used.

    Raises:
        ConstitutionError: no file `ref`, one of the shelf without `out`, or a file in the way of `out`.
    """
    file = find_file(ref)
    if out is None:
        if ref.startswith(SHELF_PREFIX):
            raise ConstitutionError(f"{ref} comes with jurat and is not written to.", hint="Give --out FILE.")
        if not is_guidelines(read_text(file)):
            return file
        out = file.with_suffix(".yaml")
        if out == file:
            raise ConstitutionError(
                f"{file} has no `rules:` and is read as guidelines.",
                hint="Give --out FILE, or write `rules:` if it is to be a constitution.",
            )
    check_target(out, force=force or (out.exists() and out.samefile(file)))
    return out


def check_target(out: Path, *, force: bool = False) -> None:
    """Raises ConstitutionError where a file cannot be written, or is in the way."""
    if out.is_dir():
        raise ConstitutionError(f"{out} is a folder, not a file to write.")
    if not out.parent.is_dir():
        raise ConstitutionError(f"There is no folder {out.parent} to write {out.name} in.")
    if out.exists() and not force:
        raise ConstitutionError(f"{out} is there already.", hint="--force replaces it.")


def replace_file(target: Path, drafted: DraftedFile) -> None:
    """Writes the outcome beside `target`, then puts it in its place, so that the file is never half written.

    Raises ConstitutionError where that cannot be done, or the constitution was edited in the meantime.
    """
    if read_text(drafted.file) != drafted.before:
        raise ConstitutionError(
            f"{drafted.file} was edited while it was drafted; nothing was written.", hint="Run it again."
        )
    data = drafted.file.read_bytes()
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    write_constitution(target, mark + drafted.after.encode())


def write_constitution(target: Path, data: bytes) -> None:
    """Writes beside a file, then puts that in its place. Raises ConstitutionError where it cannot."""
    whole = target.resolve()  # the target of a link, not the link
    try:
        with written_aside(whole) as aside:
            aside.write_bytes(data)
            if whole.exists():
                shutil.copymode(whole, aside)
    except OSError as error:
        raise ConstitutionError(f"{target} cannot be written: {error.strerror}.") from error


def _chosen(known: Sequence[str], ids: tuple[str, ...], file: str) -> list[int]:
    """The indices of the rules that are asked for, in the order of the file."""
    for name in ids:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(known)}."
            raise ConstitutionError(f"{file} has no rule with the id {name!r}.", hint=hint)
    return [i for i, name in enumerate(known) if not ids or name in ids]


def _amendment(index: int, draft: Draft, by: str, force: bool) -> Amendment | None:
    if draft.empty:
        return None
    best, better = draft.best, draft.rewritten
    mark = f"{by}, " + (f"objectivity {best.score} of 10" if best else "not rated")
    proposals: tuple[str, ...] = ()
    doubtful = draft.doubts
    if better and (doubtful or not force):
        own = draft.attempts[0]
        proposals = (f"rule: {better}", f"{mark}; the text above {own.score}: {own.reason}")
    if doubtful:
        drafted = inline([shorthand(clause) for clause in draft.clauses])
        proposals += (*(f"look at this: {doubt}" for doubt in doubtful), draft.reading, f"clauses: {drafted}")
    return Amendment(
        index,
        mark,
        text=better if force and not doubtful else None,
        description=None if doubtful else draft.description,
        clauses=() if doubtful else draft.clauses,
        objects=draft.objects,
        proposals=proposals,
    )


def _written(text: str, amendments: Sequence[Amendment], file: str) -> tuple[str, dict[int, Failure]]:
    """The amended text, and the rules that are written so that they cannot be amended."""
    try:
        return amend(text, amendments, file=file), {}
    except ConstitutionError:
        sound: list[Amendment] = []
        refused: dict[int, Failure] = {}
        for amendment in amendments:
            try:
                amend(text, [*sound, amendment], file=file)
                sound.append(amendment)
            except ConstitutionError as error:
                refused[amendment.rule] = Failure("error", f"{error.message} {error.hint or ''}".strip())
        return amend(text, sound, file=file), refused


def _with_problem(draft: Draft, failure: Failure) -> Draft:
    """A draft that could not be written into the file."""
    return Draft(draft.rule, problems=(*draft.problems, ("file", failure)))
