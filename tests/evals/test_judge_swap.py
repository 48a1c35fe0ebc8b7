"""The judge-swap report; every count is worked out from the table in `drawn_logs`."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from jurat.errors import JuratError
from jurat.evals import judge_swap as swap
from jurat.evals.judge_report import Conclusion
from jurat.evals.log_files import read_logs
from jurat.evals.pairs import PairedRates
from jurat.metrics.intervals import Interval
from jurat.metrics.paired import Difference

from .drawn_logs import LAX, STRICT, people_labels, replies, write_labels


def judge_swap(*arguments, **options):
    return swap.judge_swap(*arguments, draws=20, **options)


@pytest.fixture(scope="module")
def labels(logs, tmp_path_factory):
    return people_labels(logs["careful"], tmp_path_factory.mktemp("labels") / "people.csv")


@pytest.fixture(scope="module")
def report(logs, labels):
    return judge_swap(read_logs([logs["careful"]]), labels, sampling="random")


@pytest.fixture(scope="module")
def conclusions(logs):
    found = judge_swap(read_logs([logs["careful"], logs["open"], logs["silent"]]))
    return {tuple(each.rpartition("/")[2] for each in (c.a, c.b)): c for c in found.conclusions}


def test_replies_that_two_logs_hold_are_not_counted_twice(logs, tmp_path):
    again = shutil.copy(logs["careful"], tmp_path / "again.eval")
    with pytest.raises(
        JuratError, match=r"again.eval both hold 36 replies of one run, which would count twice"
    ):
        judge_swap(read_logs([logs["careful"], again]))


def test_labels_that_cannot_be_used_are_counted(report):
    labels = report.labels
    assert (labels.n, labels.positives, labels.positive) == (31, 12, "refusal")
    assert labels.without == {
        "the annotators are tied": 1,
        "no reply to label: empty": 2,
        "no reply to label: error": 2,
    }
    assert labels.unmatched == ["9999"] and report.no_reply == 2
    assert labels.votes == {"refusal": 12 * 2 + 1 + 1, "no_refusal": 19 * 2 + 1}
    assert report.sampling == "random"


def test_sensitivity_and_specificity_have_wilsons_interval_over_clusters(report):
    strict, lax = report.judges
    assert (strict.name, strict.states) == (STRICT, {"scored": 32, "unparsed": 2})
    assert (strict.sensitivity.right, strict.sensitivity.n, strict.sensitivity.value) == (6, 12, 0.5)
    assert (strict.specificity.right, strict.specificity.n) == (19, 19)
    assert (lax.sensitivity.value, lax.specificity.value, lax.undecided) == (1.0, 1.0, 0)
    # Twelve replies about six objects, about each of which both are right or both wrong: an effective n of 5.
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, 5))
    low, high = proportion_confint(2.5, 5, alpha=alpha, method="wilson")
    assert (strict.sensitivity.interval.low, strict.sensitivity.interval.high) == pytest.approx((low, high))


def test_judges_and_people_agree_beyond_chance_as_worked_out_by_hand(report):
    found = {each.raters: each for each in report.agreements}
    kappa, ac1 = found[STRICT, "people"].values.values()
    # 6 both refusal, 6 people only, 19 neither, of 31.
    chance = (6 * 12 + 25 * 19) / 31**2
    assert (kappa.n, kappa.value) == (31, pytest.approx((25 / 31 - chance) / (1 - chance)))
    share = (6 + 12) / 62
    expected = 2 * share * (1 - share)
    assert (ac1.n, ac1.value) == (31, pytest.approx((25 / 31 - expected) / (1 - expected)))
    assert found[LAX, "people"].values["cohen_kappa"].value == 1.0
    # Replies that both judges could not read are in neither.
    both = found[STRICT, LAX]
    assert (both.values["cohen_kappa"].n, both.left_out) == (32, 2)


def test_raw_and_corrected_rates_stand_side_by_side(report):
    strict, lax = report.rates
    assert (strict.raw, strict.n, strict.undecided) == (6 / 32, 32, 2)
    assert lax.raw == 12 / 32
    assert strict.correction.headline == lax.correction.headline == "ppi"
    # Three of 34 replies have no label; of these neither judge says the event.
    assert all(12 / 34 - 0.005 < each.correction.best.value < 12 / 31 for each in report.rates)
    facts = strict.facts()
    assert set(facts["estimates"]) == {
        "labels",
        "ppi",
        "rogan-gladen",
        "stratified",
        "stratified rogan-gladen",
    }
    assert facts["estimates"]["labels"]["value"] == 12 / 31
    json.dumps(report.facts(), allow_nan=False)


def test_sampling_decides_which_correction_is_printed(logs, labels):
    unsaid = judge_swap(read_logs([logs["careful"]]), labels)
    assert (unsaid.sampling, unsaid.rates[0].correction.headline) == ("chosen", "none")
    assert unsaid.rates[0].facts()["corrected"] is None
    assert unsaid.enough == [] and len(unsaid.by_category) == 6 * 2


def test_replies_that_all_have_labels_need_no_sampling(logs, tmp_path):
    rows = [(id, "refusal" if "cannot" in text else "other") for id, text in replies(logs["open"]).items()]
    file = write_labels(tmp_path / "all.csv", rows, ("id", "label"))
    found = judge_swap(read_logs([logs["open"]]), file)
    assert (found.sampling, found.sampling_reason) == ("random", "every reply has a label")
    assert found.rates[0].correction.best.value == pytest.approx(2 / 36)
    assert (found.judges[0].sensitivity.value, found.judges[0].specificity.value) == (1.0, 1.0)


def test_conclusion_survives_if_every_judge_shows_it(conclusions):
    survives = conclusions["open", "silent"]
    assert survives.verdict == "survives"
    assert [survives.sign(judge) for judge in (STRICT, LAX)] == [-1, -1]
    depends = conclusions["careful", "open"]
    assert depends.verdict == "depends on the judge"
    assert [depends.sign(judge) for judge in (STRICT, LAX)] == [0, 1]


def test_pairs_of_logs_are_one_family_of_holm(conclusions):
    strict = [each.under[STRICT] for each in conclusions.values()]
    plain = sorted(each.difference.p for each in strict)
    assert plain[-1] == pytest.approx(stats.ttest_1samp([1] * 2 + [0] * 14, 0).pvalue)
    assert sorted(each.adjusted for each in strict) == pytest.approx([3 * plain[0], 2 * plain[1], plain[2]])


def paired(value: float, adjusted: float) -> PairedRates:
    return PairedRates(None, (0.5, 0.5), Difference(value, Interval(-1, 1), adjusted, 9, 9), None, adjusted)


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ([(0.2, 0.01), (0.1, 0.01)], "survives"),
        ([(0.2, 0.01), (-0.1, 0.01)], "reversed by a judge"),
        ([(0.2, 0.01), (0.1, 0.2)], "depends on the judge"),
        ([(0.2, 0.01), (0.1, math.nan)], "depends on the judge"),
        ([(0.2, 0.2), (-0.1, 0.2)], "nothing shown"),
        ([(0.2, 0.01)], "one judge"),
    ],
)
def test_verdict_on_a_conclusion(lines, verdict):
    found = Conclusion("a", "b", {f"judge {n}": paired(*line) for n, line in enumerate(lines)})
    assert found.verdict == verdict


def test_logs_of_other_sets_are_not_compared(logs):
    a, b = read_logs([logs["open"], logs["silent"]])
    b.log.eval.metadata["set"] = "figstep"
    (found,) = judge_swap([a, b]).conclusions
    assert found.verdict == "not compared" and "of the set pictogram-typographic" in found.problem


def test_label_by_id_alone_is_refused_where_replies_differ(logs, tmp_path):
    file = write_labels(tmp_path / "l.csv", [("0004", "refusal"), ("0001", "no_refusal")], ("id", "label"))
    assert judge_swap(read_logs([logs["careful"]]), file).labels.n == 2
    with pytest.raises(
        JuratError, match="'0004' has 2 different replies in these logs, and its label"
    ) as caught:
        judge_swap(read_logs([logs["careful"], logs["open"]]), file)
    assert "reply_sha256" in str(caught.value.hint)


def test_label_of_an_id_in_two_sets_is_refused(logs, tmp_path):
    a, b = read_logs([logs["open"], logs["silent"]])
    b.log.eval.metadata["set"] = "figstep"
    # Both models gave this reply to 0002.
    file = write_labels(tmp_path / "l.csv", [("0002", "refusal", "I cannot help.")], ("id", "label", "reply"))
    with pytest.raises(JuratError, match="the id '0002' stands for different samples"):
        judge_swap([a, b], file)
    b.log.eval.metadata["set"] = a.set
    assert judge_swap([a, b], file).labels.n == 2


@pytest.mark.parametrize(
    ("rows", "people", "told"),
    [
        ([("0000", "refusal"), ("0001", "no_refusal"), ("0002", "refsual")], (), "'refsual' is no label"),
        ([("0000", "unsafe"), ("0001", "safe")], (), "none is the judges' event"),
        ([("0000", "bad"), ("0001", "good")], ("evil", "good"), "the label 'bad' is none of evil, good"),
        ([("x", "refusal")], (), "No reply has a label: 1 id of 1 with human labels matched no sample: x"),
        ([], (), "holds no labels"),
    ],
)
def test_labels_that_fit_nothing_are_refused(logs, tmp_path, rows, people, told):
    file = write_labels(tmp_path / "l.csv", rows, ("id", "label"))
    with pytest.raises(JuratError, match=told):
        judge_swap(read_logs([logs["careful"]]), file, people=people)


def test_people_may_have_labels_of_their_own(logs, tmp_path):
    file = write_labels(tmp_path / "l.csv", [("0000", "declined"), ("0001", "helped")], ("id", "label"))
    found = judge_swap(read_logs([logs["careful"]]), file, people=("declined", "helped"))
    assert (found.labels.positive, found.labels.positives, found.labels.n) == ("declined", 1, 2)


def test_scorers_about_another_event_are_no_judges(logs):
    (log,) = read_logs([logs["open"]])
    lax = list(log.samples[0].scores)[1]
    for sample in log.samples:
        sample.scores[lax].metadata |= {"positive": "unsafe", "labels": ["unsafe", "safe"]}
        sample.scores[lax].value = "safe"
    found = judge_swap([log])
    assert [judge.name for judge in found.judges] == [STRICT]
    assert found.left_out == {LAX: "is about 'unsafe', not 'refusal'"}
    assert [judge.name for judge in judge_swap([log], scorers=["refusal-phrases-lax"]).judges] == [LAX]
    with pytest.raises(JuratError, match="No log has the scorer 'jury'"):
        judge_swap([log], scorers=["jury"])


def test_report_without_any_judgement_is_refused(logs):
    (log,) = read_logs([logs["open"]])
    for sample in log.samples:
        for score in sample.scores.values():
            score.value = "judge refused"
    with pytest.raises(JuratError, match="decided nothing: there are no judgements to compare"):
        judge_swap([log])
