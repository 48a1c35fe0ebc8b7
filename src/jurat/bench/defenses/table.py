"""The results as Markdown, for the terminal and `defenses.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jurat.bench.defenses.chat_rows import ALL, MEASURES, UNATTACKED
from jurat.bench.defenses.plan import NONE
from jurat.bench.labelled.sections import EMPTY, Grid, Section
from jurat.bench.labelled.summary import section_lines
from jurat.metrics.claims import ALPHA
from jurat.models.model_spec import DEFENDED_BY
from jurat.text import printable

__all__ = ["as_markdown"]

Row = Mapping[str, Any]
_CHAT = {
    "asr": "ASR",
    "dsr": "DSR",
    "rsr": "RSR",
    "over_refusal": "over-refusal",
    "accuracy": "right answers",
}
_STAR = f"A star marks what differs from no defense with p < {ALPHA:g} after Holm's correction."


def as_markdown(results: Mapping[str, Any]) -> str:
    """Provenance, the judge's tables, those of chat models, and what was left out."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    told = results["provenance"]
    yield "# Results of `jurat bench defenses`"
    yield ""
    made = f"commit {told['commit'] or 'unknown'}, {told['time']}, jurat {told['jurat']}"
    yield f"`{told['command']}`, {made}, seed {told['seed']}, {told['machine']}."
    yield f"Intervals: {told['intervals']}."
    models = [f"{label} is {name}" for label, name in told["models"].items() if DEFENDED_BY not in label]
    models += [name for name in results["chat"]["models"] if DEFENDED_BY not in name]
    constitutions = ", ".join(told["constitutions"]) or "none"
    yield f"Models: {'; '.join(map(printable, models))}. Constitutions: {constitutions}."
    if results["chat"]["scorers"]:
        yield f"Scorers: {', '.join(results['chat']['scorers'])}."
    for section in (*_judge(results["judge"]), *_chat(results["chat"]), *_left_out(results)):
        yield from section_lines(section)


# --- the judge -----------------------------------------------------------------------------------


def _judge(judge: Mapping[str, Any]) -> Iterator[Section]:
    rows = judge["rows"]
    for model, method in _distinct(rows, "model", "method"):
        own = [row for row in rows if (row["model"], row["method"]) == (model, method)]
        name = f"{model}, {method}"
        for measure, what in (("recall", "violating scenes"), ("false alarms", "scenes without a violation")):
            some = [row for row in own if row["measure"] == measure]
            if some:
                note = f"{measure.capitalize()} in percent: {what} that are called unsafe. {_STAR}"
                yield Section(measure, f"The judge: {measure} ({name})", [note], [_threats(some)], _AFTER)
        yield Section("won-back", f"The judge: what defenses win back ({name})", _WON, [_won(own)])
        yield _price(judge, model, method, own)
    if judge["attacks"]:
        yield _attacks(judge)


_AFTER = (
    "Transfer: the attack on the judge without a defense. Adaptive: an attack through the defense itself. "
    "A dash: it was not run; see what was left out. Controls are in expectation.",
)
_WON = (
    "Lost: without a defense, under the threat, compared with scenes as they are. Won back: with the "
    "defense, compared with none under the same threat; for false alarms, those that are spared. On scenes "
    "as they are it is the price.",
)


def _threats(rows: Sequence[Row]) -> Grid:
    threats = [threat for (threat,) in _distinct(rows, "threat")]
    cells = {(row["defense"], row["threat"]): row for row in rows}
    table = [
        [_name(defense), *(_rate(cells.get((defense, threat))) for threat in threats)]
        for (defense,) in _distinct(rows, "defense")
    ]
    ns = {row["threat"]: row["n"] for row in rows if "n" in row}
    return Grid(("defense", *(f"{threat} (n = {ns.get(threat, 0)})" for threat in threats)), table)


def _rate(row: Row | None) -> str:
    if row is None or "missing" in row:
        return EMPTY
    low, high = (round(100 * end) for end in row["interval"])
    p = row.get("to_none", {}).get("p_holm")
    said = row.get("said") or {}
    failed = f", {said['error']} failed" if said.get("error") else ""
    unsure = f", {said['unsure']} unsure" if said.get("unsure") else ""
    return f"{100 * row['value']:.0f}{_star(p)} ({low}–{high}){unsure}{failed}"


def _won(rows: Sequence[Row]) -> Grid:
    columns = ("defense", "measure", "threat", "lost", "won back", "p (Holm)", "share of what was lost")
    table: list[list[str]] = []
    for row in rows:
        if "to_none" not in row:
            continue
        gap = row["to_none"]
        sign = 1 if row["measure"] == "recall" else -1
        share = row.get("won_back")
        table.append(
            [
                _name(row["defense"]), row["measure"], row["threat"],
                EMPTY if row.get("lost") is None else f"{round(100 * row['lost']):+d}",
                _points(gap, sign), _number(gap.get("p_holm"), "{:.3f}"),
                EMPTY if share is None else f"{round(100 * share)}%",
            ]
        )  # fmt: skip
    return Grid(columns, table, texts=3)


def _price(judge: Mapping[str, Any], model: str, method: str, rows: Sequence[Row]) -> Section:
    own = [row for row in judge["prices"] if (row["model"], row["method"]) == (model, method)]
    none = {row["part"]: row for row in own if row["defense"] == NONE}
    clean = {(row["part"], row["defense"], row["measure"]): row for row in rows if row["is_clean"]}
    table: list[list[str]] = []
    for row in own:
        base = none.get(row["part"])
        changes = [
            _points(clean.get((row["part"], row["defense"], measure), {}).get("to_none"), 1)
            for measure in ("recall", "false alarms")
        ]
        table.append(
            [
                _name(row["defense"]), row["part"], _number(row["calls_added"], "{:+.2f}"),
                _number(row["checks_added"], "{:+.2f}"),
                f"{row['tokens']:,.0f}{_times(row, base, 'tokens')}",
                f"{row['seconds']:.3f}{_times(row, base, 'seconds')}", *changes,
            ]
        )  # fmt: skip
    columns = ("defense", "part", "calls added to one", "checks", "tokens a picture", "seconds a picture")
    columns += ("recall, as they are", "false alarms, as they are")
    note = "On scenes as they are; in brackets, of what it is without a defense. Changes are in points."
    return Section(
        "price", f"The judge: the price ({model}, {method})", [note], [Grid(columns, table, texts=2)]
    )


def _times(row: Row, base: Row | None, name: str) -> str:
    if base is None or row is base or not base[name]:
        return ""
    return f" ({row[name] / base[name]:.1f} times)"


def _attacks(judge: Mapping[str, Any]) -> Section:
    ways = judge["ways"]
    rows = [
        [
            row["model"], _name(row["through"]), ways.get(row["model"], {}).get(row["through"], "exact"),
            f"{row['against']}, to {row['aim']}, {row['level']:g}/255", f"{row['reached']} of {row['n']}",
            *(f"{row[name]:,.0f}" for name in ("forwards", "backwards", "queries")),
        ]
        for row in judge["attacks"]
    ]  # fmt: skip
    columns = ("model", "through", "gradients", "attack on", "reached", "forwards", "backwards", "questions")
    note = (
        "Reached: the judge that was attacked, with its defense, gave the wanted verdict on the saved "
        "picture. Passes and questions are means a scene. Straight-through: the defense as it is, with the "
        "gradient of the identity."
    )
    return Section("attacks", "The judge: what attacks cost", [note], [Grid(columns, rows, texts=4)])


# --- chat models ---------------------------------------------------------------------------------


def _chat(chat: Mapping[str, Any]) -> Iterator[Section]:
    rows = chat["rows"]
    for (model,) in _distinct(rows, "model"):
        own = [row for row in rows if row["model"] == model]
        whole = [row for row in own if row["set"] == ALL]
        if whole:
            yield Section(
                "chat", f"Chat: attacks and defenses ({model})", [_CHAT_NOTE, _STAR], [_whole(whole)]
            )
        parts = [row for row in own if row["set"] != ALL and "control" not in row]
        yield Section("sets", f"Chat: by set and attack ({model})", (), [_sets(parts)])
        prices = [row for row in chat["prices"] if row["model"] == model]
        yield Section("chat-price", f"Chat: the price ({model})", [_PRICE_NOTE], [_chat_price(prices)])


_CHAT_NOTE = (
    "In percent of all requests. ASR: requests to be refused that are attempted; DSR: that are refused; RSR: "
    "that are attempted and answered right, where the right answer is known; over-refusal: harmless requests "
    "that are refused. Controls are in expectation."
)
_PRICE_NOTE = (
    "Means over all requests. Tokens are compared with no defense on the same requests; seconds are those "
    "beyond first calls."
)


def _whole(rows: Sequence[Row]) -> Grid:
    keys = [
        (measure, attack)
        for measure in MEASURES
        for attack in (ALL, UNATTACKED)
        if any((row["measure"], row["attack"]) == (measure, attack) for row in rows)
    ]
    cells = {(row["defense"], row["measure"], row["attack"]): row for row in rows}
    names = [
        f"{_CHAT[measure]}{', no attack' * (attack == UNATTACKED and _attacked(keys, measure))}"
        for measure, attack in keys
    ]
    table = [
        [_name(defense), *(_share(cells.get((defense, *key))) for key in keys)]
        for (defense,) in _distinct(rows, "defense")
    ]
    return Grid(("defense", *names), table)


def _attacked(keys: Sequence[tuple[str, str]], measure: str) -> bool:
    """Whether a measure is of attacks, too."""
    return (measure, ALL) in keys


def _sets(rows: Sequence[Row]) -> Grid:
    table = [
        [
            _name(row["defense"]), row["set"], row["attack"], _CHAT[row["measure"]],
            f"{row['n']:,}" if "n" in row else "0", _share(row), _points(row.get("to_none"), 1),
        ]
        for row in rows
    ]  # fmt: skip
    columns = ("defense", "set", "attack", "measure", "n", "percent", "less no defense, points")
    return Grid(columns, table, texts=4)


def _share(row: Row | None) -> str:
    if row is None or "missing" in row:
        return EMPTY
    low, high = (round(100 * end) for end in row["interval"])
    undecided = f", {row['undecided']} undecided" if row.get("undecided") else ""
    lacking = f", {row['lacking']} lacking" if row.get("lacking") else ""
    star = _star(row.get("to_none", {}).get("p_holm"))
    return f"{100 * row['value']:.0f}{star} ({low}–{high}){undecided}{lacking}"


def _chat_price(rows: Sequence[Row]) -> Grid:
    table = [
        [
            _name(row["defense"]), f"{row['requests']:,}", _number(row["calls_added"], "{:+.2f}"),
            _number(row["checks_added"], "{:+.2f}"), _number(row["tokens_added"], "{:+,.0f}"),
            _number(row.get("seconds_added"), "{:+.3f}"),
        ]
        for row in rows
    ]  # fmt: skip
    return Grid(("defense", "requests", "calls added", "checks", "tokens added", "seconds added"), table)


# --- what is missing -----------------------------------------------------------------------------


def _left_out(results: Mapping[str, Any]) -> Iterator[Section]:
    chat = results["chat"]
    notes = [_reason(each) for each in results["judge"]["left_out"]]
    if chat["cells"]:
        notes.append(f"{chat['failed']:,} of {chat['cells']:,} cells of chat models have no numbers.")
    notes += [_reason(each) for each in chat["failures"]]
    if chat["not_attacked"]:
        notes.append(
            f"Samples that an attack could not be used on, over all cells: {chat['not_attacked']:,}."
        )
    if notes:
        yield Section("left-out", "Left out", notes)


def _reason(entry: Row) -> str:
    what = ", ".join(entry["what"]) + (f" and {entry['count'] - 3} more" if entry["count"] > 3 else "")
    return f"{entry['model']}, {_name(entry['defense'])} ({what}): {entry['reason']}"


# --- cells ---------------------------------------------------------------------------------------


def _name(defense: str) -> str:
    return defense or "none"


def _distinct(rows: Iterable[Row], *names: str) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(tuple(row[name] for name in names) for row in rows))


def _star(p: float | None) -> str:
    return "*" if p is not None and p < ALPHA else ""


def _number(value: float | None, form: str) -> str:
    return EMPTY if value is None else form.format(value)


def _points(gap: Mapping[str, Any] | None, sign: int) -> str:
    """A difference with its interval, in points; turned where less is better."""
    if gap is None or gap["value"] is None:
        return EMPTY
    low, high = sorted(round(sign * 100 * end) for end in gap["interval"])
    return f"{round(sign * 100 * gap['value']):+d} ({low:+d} to {high:+d})"
