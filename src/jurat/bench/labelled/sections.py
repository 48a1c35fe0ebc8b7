"""The results on labelled images as sections of sentences and tables, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jurat.bench.labelled.more_labels import BOUND
from jurat.text import counted

EMPTY = "–"
SHOWN = 20
"""How many skipped rows and disputed labels are listed; all of them are in labelled.json."""


@dataclass(frozen=True)
class Grid:
    """A table of texts; numbers begin in the second column unless `texts` says otherwise."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1
    """Number of columns of text, which come first."""


@dataclass(frozen=True)
class Section:
    """One part of the results."""

    id: str
    title: str
    notes: Sequence[str] = ()
    grids: Sequence[Grid] = ()
    after: Sequence[str] = field(default_factory=tuple[str, ...])
    """Sentences that explain the tables."""


def sections_of(data: dict[str, Any]) -> list[Section]:
    """All sections that are not empty, in order."""
    made = (
        _labels(data["labels"]),
        _by_image(data),
        _by_rule(data),
        _wordings(data["wordings"]),
        _paired(data["paired"]),
        _calibration(data["rows"]),
        _costs(data["rows"]),
        _more(data["more_labels"]),
        _guards(data["guards"], data["labels"]),
        _left_out(data["left_out"]),
    )
    return [section for section in made if section is not None]


def headline(data: dict[str, Any]) -> str:
    """Main result of the first row, as a sentence."""
    row = data["rows"][0]
    n = row["item"]["n"]
    if not n:
        return f"No image has a label of every rule that {_name(row)} covers"
    accuracy = row["item"]["forced accuracy"]["value"]
    return f"{_name(row)} decides {round(accuracy * n):,} of {n:,} images right"


# --- labels --------------------------------------------------------------------------------------


def _labels(labels: dict[str, Any]) -> Section:
    people = labels["annotators"]
    notes = [
        f"{counted(labels['images'], 'image')}, of which {labels['broken']:,} break a rule. "
        f"Labels: {labels['layout']}{f', by {len(people):,} annotators' if len(people) > 1 else ''}."
    ]
    if labels["unreadable"]:
        count = counted(len(labels["unreadable"]), "image")
        notes.append(f"{count} cannot be read, an error of every method: {_some(labels['unreadable'])}.")
    if labels["without_labels"]:
        names = ", ".join(labels["without_labels"])
        notes.append(f"No label says anything of {names}: not measured.")
    if labels["unread_columns"]:
        notes.append(f"Columns that were not read: {', '.join(labels['unread_columns'])}.")
    notes += labels["notes"]
    agreeing = {each["rule"]: each for each in labels["agreement"]}
    columns = ["rule", "labels", "broken"]
    if agreeing:
        columns += ["ties", "rated twice", "differ", "raw agreement", "alpha", "AC1"]
    rows = [
        [rule, *_whole(each["labels"], each["broken"])]
        + (_agreement(each, agreeing.get(rule)) if agreeing else [])
        for rule, each in labels["by_rule"].items()
    ]
    grids = [Grid(columns, rows)]
    after: list[str] = []
    if agreeing:
        after.append(
            "The majority is taken; a tie is no label. Alpha is Krippendorff's, nominal, with the 95% "
            "interval of a bootstrap over images; AC1 is Gwet's, which a rare violation does not drive to 0."
        )
    if labels["disputed"]:
        shown = labels["disputed"][:SHOWN]
        grids.append(
            Grid(
                ("annotators disagree on", "rule", "broken say", "kept say", "taken for"),
                [
                    [e["item"], e["rule"], ", ".join(e["broken"]), ", ".join(e["kept"]), e["taken_for"]]
                    for e in shown
                ],
                texts=5,
            )
        )
        after += _more_than(shown, labels["disputed"], "label on which annotators disagree")
    if labels["skipped"]:
        shown = labels["skipped"][:SHOWN]
        grids.append(Grid(("skipped", "why"), [[e["place"], e["reason"]] for e in shown], texts=2))
        notes.append(f"{counted(len(labels['skipped']), 'row')} gave no label.")
        after += _more_than(shown, labels["skipped"], "row that was skipped")
    return Section("labels", "Labels", notes, grids, after)


def _agreement(rule: dict[str, Any], found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return [*_whole(rule["ties"]), "0", *[EMPTY] * 4]
    ends = found["alpha_interval"]
    alpha = _number(found["alpha"], ends["low"], ends["high"])
    counts = _whole(rule["ties"], found["images"], found["disputed"])
    return [*counts, _number(found["raw"]), alpha, _number(found["ac1"])]


def _more_than(shown: Sequence[Any], everything: Sequence[Any], what: str) -> Iterator[str]:
    if len(shown) < len(everything):
        rest = counted(len(everything) - len(shown), f"further {what}", f"further {what}s")
        yield f"{rest[0].upper()}{rest[1:]}: see labelled.json."


# --- metrics -------------------------------------------------------------------------------------


def _by_image(data: dict[str, Any]) -> Section:
    several = len(data["provenance"]["constitutions"]) > 1
    guards = any(row["guard"] for row in data["rows"])
    columns = ["method", *(["wording"] if several else []), *(["rules"] if guards else []), "images"]
    columns += ["forced F1", "forced accuracy", "AURC", "decided", "strict F1", "recall", "precision"]
    rows: list[list[str]] = []
    for row in data["rows"]:
        item = row["item"]
        head = [_name(row), *([row["constitution"]] if several else [])]
        head += [*([f"{len(row['covers']):,}"] if guards else []), f"{item['n']:,}"]
        rows.append(head + _metrics(item))
    total = data["labels"]["images"]
    partial = [row for row in data["rows"] if row["item"]["n"] < total]
    notes = []
    if partial:
        notes.append(
            "Images without a label of every rule, or with a tie, are left out unless another rule is "
            f"broken: {total - min(row['item']['n'] for row in partial):,} of {total:,} at most."
        )
    after = [
        "Forced decides every image by its score; strict counts an undecided one as an error. AURC is the "
        "area under risk against coverage; 0 is best. In brackets 95% intervals over images: Wilson's, of F1 "
        "transformed from the share of hits among hits and errors; of AURC the bootstrap's. They are for "
        "images drawn as these were, under these rules.",
        "“Always” rows are constant answers, which a method has to beat.",
    ]
    return Section("images", "By image", notes, [Grid(columns, rows, texts=2 if several else 1)], after)


def _metrics(summary: dict[str, Any]) -> list[str]:
    if not summary["n"]:
        return [EMPTY] * 7
    decided = f"{1 - summary['undecided']:.0%}"
    shown = [_estimate(summary[name]) for name in ("forced f1", "forced accuracy")]
    shown.append(_estimate(summary["aurc"], 4))
    return [*shown, decided, *(_estimate(summary[name]) for name in ("f1", "recall", "precision"))]


def _by_rule(data: dict[str, Any]) -> Section | None:
    telling = [row for row in data["rows"] if "by_rule" in row and not row["control"]]
    if not telling:
        return None
    several = len(data["provenance"]["constitutions"]) > 1
    pooled = Grid(
        ("all rules, every image and rule", "pairs", "broken", "forced F1", "forced accuracy", "AURC",
         "decided", "strict F1", "recall", "precision"),
        [
            [_full(row, several), *_whole(found["n"], found.get("positives", 0)), *_metrics(found)]
            for row in telling
            for found in (row["rules"],)
        ],
    )  # fmt: skip
    lead = telling[0]
    single = Grid(
        (f"each rule, {_full(lead, several)}", "images", "broken", "forced F1", "forced accuracy", "AURC",
         "decided", "strict F1", "recall", "precision"),
        [
            [rule, *_whole(each["n"], each.get("positives", 0)), *_metrics(each)]
            for rule, each in lead["by_rule"].items()
        ],
    )  # fmt: skip
    grids = [pooled, single]
    if len(telling) > 1:
        rules = list(dict.fromkeys(rule for row in telling for rule in row["by_rule"]))
        grids.append(
            Grid(
                ("forced F1 of each rule", *(_full(row, several) for row in telling)),
                [[rule, *(_f1(row["by_rule"].get(rule)) for row in telling)] for rule in rules],
            )
        )
    after = ["A rule that few images break has a wide interval: it says what these images can say of it."]
    return Section("rules", "By rule", (), grids, after)


def _f1(summary: dict[str, Any] | None) -> str:
    return EMPTY if summary is None or not summary["n"] else _number(summary["forced f1"]["value"])


# --- comparisons ---------------------------------------------------------------------------------


def _wordings(wordings: Sequence[dict[str, Any]]) -> Section | None:
    if not wordings:
        return None
    first = wordings[0]["a"]["constitution"]
    rows = [
        [f"{_name(e['a'])}", f"{first} − {e['b']['constitution']}", e["metric"], f"{e['n']:,}", *_gap(e)]
        for e in wordings
    ]
    columns = ("method", "wordings", "metric", "images", first, "other", "difference", "p (Holm)", "")
    after = [
        "Paired on the same images. The interval is the bootstrap's over images; p is Holm's over all "
        "comparisons of this table. Methods that cannot be run under one of the wordings are not in it."
    ]
    return Section("wordings", "What is rewording worth?", (), [Grid(columns, rows, texts=3)], after)


def _paired(paired: Sequence[dict[str, Any]]) -> Section | None:
    if not paired:
        return None
    several = len({each["a"]["constitution"] for each in paired}) > 1
    rows = [
        [_full(e["a"], several), _full(e["b"], several), e["metric"], f"{e['rules']:,}", *_gap(e)]
        for e in paired
    ]
    columns = ("method", "against", "metric", "rules", "its value", "other", "difference", "p (Holm)", "")
    after = [
        "Paired on the same images, with a guard on the rules that it covers. The interval is the "
        "bootstrap's over images; p is Holm's over the comparisons of one first method."
    ]
    return Section("differences", "Differences", (), [Grid(columns, rows, texts=3)], after)


def _gap(entry: dict[str, Any]) -> list[str]:
    value, low, high, p = (entry[name] for name in ("difference", "low", "high", "p_holm"))
    signed = EMPTY if value is None else f"{value:+.3f}"
    if low is not None and high is not None:
        signed += f" [{low:+.3f}, {high:+.3f}]"
    better = value is not None and value != 0 and (value < 0) == entry["less_is_better"]
    clear = p is not None and p < 0.05
    word = "level" if value == 0 else ("better" if better else "worse") if clear else "open"
    values = [_number(each) for each in entry["values"]]
    return [*values, signed, EMPTY if p is None else f"{p:.3f}", word]


# --- calibration and cost ------------------------------------------------------------------------


def _calibration(rows: Sequence[dict[str, Any]]) -> Section | None:
    found: list[list[str]] = []
    reasons: dict[str, list[str]] = {}
    names = ("ece", "brier", "log_loss", "forced f1")
    several = len({row["constitution"] for row in rows}) > 1
    for row in rows:
        for level, each in row["calibration"].items():
            if not each["n"]:
                continue
            what = "images" if level == "item" else "rules"
            before, after = each["before"], each["after"] or dict.fromkeys(names)
            numbers = [f"{_number(before[name])} → {_number(after[name])}" for name in names]
            found.append([_full(row, several), what, f"{each['n']:,}", *numbers])
            if each["reason"]:
                reasons.setdefault(each["reason"], []).append(_full(row, several))
    if not found:
        return None
    notes = [f"No value after: {why} ({', '.join(dict.fromkeys(who))})." for why, who in reasons.items()]
    columns = ("method", "of", "with a score", "ECE", "Brier", "log-loss", "forced F1")
    after = [
        "Before → after. After: a logistic curve (Platt's) fitted to the other folds maps each score, so "
        "that no image is mapped by a curve that saw it. Of few images the curve can be worse than none. "
        "Rows “+calibrate” are `jurat calibrate`, fitted to the other folds: a model's prior, thresholds "
        "with bounds, and one temperature."
    ]
    return Section("calibration", "Calibration", notes, [Grid(columns, found, texts=2)], after)


def _costs(rows: Sequence[dict[str, Any]]) -> Section:
    several = len({row["constitution"] for row in rows}) > 1
    grid = Grid(
        ("method", "images shown", "tokens read", "tokens written", "GFLOPs", "seconds"),
        [
            [
                _full(row, several),
                *(_plain(row["costs"][n], 1) for n in ("images", "question_tokens", "generated_tokens")),
                _plain(row["costs"]["flops"], 2, 1e-9),
                _plain(row["costs"]["seconds"], 3),
            ]
            for row in rows
            if not row["control"]
        ],
    )
    after = [
        "Means an image, as if each method had run alone: answers that several methods need are asked once, "
        "and counted for each. Images shown are calls of the model with an image, crops and shifted copies "
        "among them. FLOPs are an estimate from parameters and tokens; none for a served model. What fitting "
        "took is not counted."
    ]
    return Section("cost", "Cost", (), [grid], after)


# --- the rest ------------------------------------------------------------------------------------


def _more(more: dict[str, Any]) -> Section:
    count = more["more"]
    intervals = Grid(
        (f"{_name(more['row'])}, {more['n']:,} images", "value", "± now", f"± with {count} more"),
        [
            [name, _number(e["value"]), _number(e["half_width"]), _number(e["expected"])]
            for name, e in more["intervals"].items()
        ],
    )
    bounds = Grid(
        ("rule", "labels", "broken", "provable miss rate now", f"with {count} more",
         f"images to prove {BOUND:.0%}"),
        [
            [e["rule"], *_whole(e["images"], e["violations"]), f"{e['bound']:.1%}", f"{e['expected']:.1%}",
             "none" if e["labels_needed"] == 0 else EMPTY if e["labels_needed"] is None
             else f"{e['labels_needed']:,}"]
            for e in more["rules"]
        ],
    )  # fmt: skip
    after = [
        f"Intervals: half the width times √(n / (n + {count})), at an unchanged rate. Miss rates: with v "
        "labelled violations, `jurat calibrate` can prove with 95% confidence that at most 1 − 0.05^(1/v) of "
        "a rule's violations score below its threshold, if none is on the wrong side; with "
        f"{count} more it is the expectation over Binomial({count}, v/n) further violations. The last column "
        "is how many images drawn at random are expected to hold the violations that are lacking; images "
        "picked because they break the rule count one each, but then the bound is for images picked so.",
    ]
    return Section("more", f"What {count} more labels would buy", (), [intervals, bounds], after)


def _guards(guards: Sequence[dict[str, Any]], labels: dict[str, Any]) -> Section | None:
    if not guards:
        return None
    notes: list[str] = []
    for each in guards:
        name = f"{each['kind']} · {each['name']}"
        if each["own_policy"]:
            notes.append(f"{name}: no map, so its own policy is measured against your labels, by image only.")
        elif each["unmapped_rules"]:
            notes.append(
                f"{name} covers {len(each['rules']):,} of {len(labels['by_rule']):,} rules. None of its "
                f"categories stands for {', '.join(each['unmapped_rules'])}; "
                f"images that break only such rules, which it cannot find: {each['images_broken_outside']:,}."
            )
        if each["unmapped_categories"]:
            notes.append(
                f"{name}: categories that stand for no rule, and do not count: "
                f"{', '.join(each['unmapped_categories'])}."
            )
        notes += [f"{name}: {note}" for note in each["notes"]]
    return Section("guards", "Guard models", notes)


def _left_out(left_out: Sequence[dict[str, Any]]) -> Section | None:
    notes = [
        f"{'−'.join([e['preset'], *e['ablate']])} · {e['model']}"
        f"{'' if e['split'] == 'labelled' else ' · ' + e['split']}: {e['reason']}"
        for e in left_out
    ]
    return Section("left-out", "Left out", notes) if notes else None


def provenance_of(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Provenance of the numbers, as names and values."""
    told = data["provenance"]
    facts = [("command", told["command"]), ("jurat", told["jurat"]), ("commit", told["commit"] or "unknown")]
    facts += [("model", name) for name in told["models"].values()]
    facts += [(f"guard {name}", revision) for name, revision in told["guards"].items()]
    facts += [(what, told[what]) for what in ("detector", "matcher", "calibration") if told.get(what)]
    facts += [
        ("constitution" if name == "labelled" else f"constitution {name}", digest)
        for name, digest in told["constitutions"].items()
    ]
    facts += [("images", told["images"]), ("labels", told["labels"]), ("folds", str(told["folds"]))]
    return [*facts, ("machine", told["machine"]), ("time", told["time"])]


def _name(row: dict[str, Any]) -> str:
    return f"{row['method']} · {row['model']}" if row["model"] else row["method"]


def _full(row: dict[str, Any], several: bool) -> str:
    return f"{_name(row)} · {row['constitution']}" if several and row["model"] else _name(row)


def _estimate(found: dict[str, Any], digits: int = 3) -> str:
    return _number(found["value"], found["low"], found["high"], digits)


def _number(value: float | None, low: float | None = None, high: float | None = None, digits: int = 3) -> str:
    if value is None:
        return EMPTY
    ends = "" if low is None or high is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{ends}"


def _plain(value: float | None, digits: int, times: float = 1.0) -> str:
    return EMPTY if value is None else f"{value * times:,.{digits}f}"


def _whole(*values: int) -> list[str]:
    return [f"{value:,}" for value in values]


def _some(names: Iterable[str], most: int = 5) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")
