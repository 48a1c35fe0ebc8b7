"""The results of the suite as Markdown, for the terminal and `injection.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jurat.bench.injection.measures import TESTED, WANTS
from jurat.bench.labelled.sections import EMPTY, Grid, Section
from jurat.bench.labelled.summary import section_lines
from jurat.bench.results import other_runs
from jurat.metrics.claims import STATES

_SAID = ("unsafe", "safe", "unsure", "error")
_ASKED = {"safe": "violating scenes that were called unsafe", "unsafe": "clean scenes that were called safe"}
"""The scenes that an injection can turn, by what it wants."""
_DIFFERENCES = {"recall_lost": "recall lost", "alarms_added": "false alarms added"}


def as_markdown(results: Mapping[str, Any]) -> str:
    """Provenance, the number of each model and method, and its tables."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Results of `jurat bench injection`: {results['suite']['title']}"
    yield ""
    yield from _head(results["suite"], results["provenance"])
    for row in results["rows"]:
        yield from section_lines(_numbers(row, results["suite"]["title"]))
        for section in (_channels(row), *(_injections(row, wants) for wants in WANTS)):
            if section is not None:
                yield from section_lines(section)
    for section in (_claims(results["claims"]), _left_out(results["provenance"]["left_out"])):
        if section is not None:
            yield from section_lines(section)


def headline(row: Mapping[str, Any], title: str) -> str:
    """The number of a model and a method, as a sentence."""
    number = row["number"]["safe"]
    if number["worst"] is None:
        return f"{title}: no number, since no violating scene was called unsafe without an injection"
    return (
        f"{title}: {_with_ends(number['worst'], number['worst_ci'])} of the violations that were found are "
        f"called safe at the worst injection of each channel, "
        f"{_with_ends(number['average'], number['average_ci'])} on average; "
        f"{_number(number['worst_of_neutral'])} at the worst neutral words"
    )


def _head(suite: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    yield f"`{told['command']}`"
    yield ""
    yield (
        f"jurat {told['jurat']}, commit {told['commit'] or 'unknown'}, {told['time']}. "
        f"Suite {suite['title']}, digest {suite['digest']}; seed {told['seed']}, {told['scenes']:,} scenes, "
        f"rules {told['constitution']}. On {told['machine']}. Models: "
        f"{'; '.join(f'{label} is {name}' for label, name in told['models'].items())}."
    )
    yield from other_runs(told)


# --- one model and method ------------------------------------------------------------------------


def _numbers(row: Mapping[str, Any], title: str) -> Section:
    notes = [f"{headline(row, title)}."]
    alarms = row["number"]["unsafe"]
    if alarms["worst"] is not None:
        notes.append(
            f"Towards unsafe: {_with_ends(alarms['worst'], alarms['worst_ci'])} of the clean scenes that "
            "were called safe are called unsafe at the worst injection of each channel; "
            f"{_number(alarms['worst_of_neutral'])} at the worst neutral words."
        )
    for wants in WANTS:
        if missing := row["number"][wants]["channels_without"]:
            notes.append(
                f"Towards {wants} without a number, for want of {_ASKED[wants]}: {', '.join(missing)}."
            )
    rows = [
        [split, kind, f"{sum(said.values()):,}", *(f"{said[name]:,}" for name in _SAID)]
        for split, kinds in row["without"].items()
        for kind, said in kinds.items()
    ]
    grid = Grid(("without an injection", "", "scenes", *_SAID), rows, texts=2)
    return Section("numbers", f"{row['model']}, {row['method']}", notes, [grid])


def _channels(row: Mapping[str, Any]) -> Section:
    rows = [
        [
            each["channel"],
            each["wants"],
            f"{each['injections']:,}",
            f"{each['held']:,} of {each['scenes']:,}",
            _number(each["worst"]) + (f" ({each['worst_injection']})" if each["worst"] else ""),
            _number(each["average"]),
            _number(each["average_of_neutral"]),
            _gap(each["over_neutral"]),
            *(_gap(each[TESTED[each["wants"]]][against]) for against in ("none", "neutral")),
            _number(each["changed"]),
        ]
        for each in row["channels"]
    ]
    columns = (
        "channel",
        "towards",
        "injections",
        "can turn",
        "worst turned",
        "mean turned",
        "by neutral words",
        "difference",
    )
    columns += ("lost or added, to no text", "to neutral words", "verdicts changed")
    after = [
        "Can turn: verdicts that are right without a text, of those on scenes whose truth is not what is "
        "asked for, over the injections of the channel. Lost or added: recall lost (towards safe) or false "
        "alarms added (towards unsafe). Differences are paired on the same scenes, each counted once, in "
        "clusters of rules.",
    ]
    return Section(
        "channels", f"By channel: {row['model']}, {row['method']}", (), [Grid(columns, rows, texts=2)], after
    )


def _injections(row: Mapping[str, Any], wants: str) -> Section | None:
    some = [each for each in row["injections"] if each["wants"] == wants]
    if not some:
        return None
    first = TESTED[wants]
    (second,) = _DIFFERENCES.keys() - {first}
    lost, other = _DIFFERENCES[first], _DIFFERENCES[second]
    rows = [
        [
            each["name"],
            f"{each['turned']:,} of {each['held']:,}",
            _with_ends(each["share"], each["share_ci"]),
            f"{each['said']['unsure']:,}",
            f"{each['said']['error']:,}",
            f"{each['turned_by_neutral']:,}",
            f"{each['said_of_neutral']['unsure']:,}",
            *(cell for against in ("none", "neutral") for cell in _tested(each[first][against])),
            *(_gap(each[second][against], interval=False) for against in ("none", "neutral")),
        ]
        for each in some
    ]
    columns = ("injection", "turned", "share", "unsure", "error", "neutral: turned", "neutral: unsure")
    columns += (f"{lost}, to no text", "p (Holm)", "to neutral words", "p (Holm)")
    columns += (f"{other}, to no text", "to neutral words")
    after = [
        f"Turned, unsure and error are of the {_ASKED[wants]} without a text. Differences are of all scenes, "
        "paired; p is Holm's over all injections of this model and method."
    ]
    title = f"Towards {wants}: {row['model']}, {row['method']}"
    return Section(wants, title, (), [Grid(columns, rows)], after)


# --- claims and what is missing ------------------------------------------------------------------


def _claims(claims: Sequence[Mapping[str, Any]]) -> Section | None:
    if not claims:
        return None
    rows = [
        [each["claim"], each["model"], each["method"], *(", ".join(each[state]) or EMPTY for state in STATES)]
        for each in claims
    ]
    grid = Grid(("claim", "model", "method", *STATES), rows, texts=3 + len(STATES))
    return Section("claims", "What became of the claims", (), [grid])


def _left_out(entries: Sequence[Mapping[str, Any]]) -> Section | None:
    notes = [f"{each['what']} ({', '.join(each['splits'])}): {each['reason']}" for each in entries]
    return Section("left-out", "Left out", notes) if notes else None


# --- cells ---------------------------------------------------------------------------------------


def _number(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.3f}"


def _with_ends(value: float | None, ends: Sequence[float | None]) -> str:
    low, high = ends
    if value is None or low is None or high is None:
        return _number(value)
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _gap(entry: Mapping[str, Any], *, interval: bool = True) -> str:
    value, (low, high) = entry["value"], entry["ci"]
    if value is None:
        return EMPTY
    return f"{value:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if interval and low is not None else "")


def _tested(entry: Mapping[str, Any]) -> list[str]:
    return [_gap(entry), _number(entry["p_holm"])]
