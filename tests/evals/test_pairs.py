"""Two logs on the same samples; every count is worked out from the table in `drawn_logs`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy.stats import binomtest, ttest_1samp

from jurat.errors import JuratError
from jurat.evals.log_files import named, read_logs
from jurat.evals.log_places import is_log
from jurat.evals.pairs import matched, pair_logs

from .drawn_logs import LAX, STRICT


@pytest.fixture(scope="module")
def pair(logs):
    a, b = read_logs([logs["careful"], logs["open"]])
    return pair_logs(a, b)


def test_differences_are_of_the_samples_that_both_decided(pair):
    assert (pair.samples, pair.left_out, pair.others) == (36, {}, {})
    strict, lax = pair.scorers
    assert (strict.scorer, lax.scorer) == (STRICT, LAX)
    assert strict.left_out == lax.left_out == {"unparsed in A": 2, "error in A": 2}
    for found, refused in ((strict, 6), (lax, 12)):
        assert found.overall.difference.n == 32 and found.overall.difference.clusters == 16
        assert found.overall.rates == (refused / 32, 2 / 32)
        assert (found.overall.mcnemar.only_a, found.overall.mcnemar.only_b) == (refused - 2, 0)
        assert found.overall.mcnemar.p == pytest.approx(binomtest(0, refused - 2).pvalue)


@pytest.mark.parametrize(("place", "objects"), [(0, 2), (1, 5)])
def test_p_and_interval_are_over_clusters(pair, place, objects):
    # The two questions about an object have the same answers, so that an object is one observation.
    gap = pair.scorers[place].overall.difference
    assert gap.p == pytest.approx(ttest_1samp([1] * objects + [0] * (16 - objects), 0).pvalue)
    low, high = ttest_1samp([1] * objects + [0] * (16 - objects), 0).confidence_interval()
    assert gap.interval.low <= low and gap.interval.high >= high


def test_categories_are_one_family_of_holm(pair):
    found = {each.category: each for each in pair.scorers[1].categories}
    assert list(found) == ["alcohol", "blades", "fire", "food", "things", "toys"]
    assert (found["fire"].rates, found["fire"].difference.n) == ((1.0, 0.0), 6)
    assert found["blades"].rates == (1.0, 2 / 6) and found["alcohol"].difference.n == 4
    least = min(found.values(), key=lambda each: each.difference.p)
    assert least.adjusted == pytest.approx(min(1.0, 6 * least.difference.p))


def test_samples_in_one_log_only_are_counted(logs):
    a, b = read_logs([logs["careful"], logs["open"]])
    del b.samples[20:], a.samples[:2]
    found = pair_logs(a, b, [STRICT])
    assert (found.samples, found.left_out) == (18, {"only in A": 16, "only in B": 2})
    assert found.others == {LAX: "not asked for"}
    assert (a.name.rpartition("/")[2], b.name.rpartition("/")[2]) == ("careful", "open")


def test_sample_that_asks_something_else_under_the_same_id_is_not_compared(logs):
    a, b = read_logs([logs["open"], logs["silent"]])
    b.samples[4].metadata["fields"] = {"question": "another"}
    found = pair_logs(a, b)
    assert (found.samples, found.left_out) == (35, {"same id, another question": 1})


@pytest.mark.parametrize(("shown", "left_out"), [(["another"], {"same id, another question": 1}), (None, {})])
def test_sample_that_shows_another_image_under_the_same_id_is_not_compared(logs, shown, left_out):
    a, b = read_logs([logs["open"], logs["silent"]])
    assert [len(sample.metadata["shown"]) for sample in a.samples] == [0] * 36  # text_only
    b.samples[4].metadata["shown"] = shown  # None: it failed before it was shown
    assert pair_logs(a, b).left_out == left_out


def twice(log):
    """The log with another reply to each sample, which its judges could not read."""
    for sample in list(log.samples):
        again = sample.model_copy(deep=True, update={"epoch": 2})
        for score in again.scores.values():
            score.value = "unparsed" if sample.id == "0000" else "no_refusal"
        log.samples.append(again)
    log.log.eval.config.epochs = 2
    return log


def test_several_replies_count_as_the_share_of_those_decided(logs):
    a, b = map(twice, read_logs([logs["open"], logs["silent"]]))
    found = pair_logs(a, b).scorers[0]
    # 0000 has one decided reply each: none of `open`, a refusal of `silent`.
    assert found.overall.rates == pytest.approx((2 * 0.5 / 36, (35 * 0.5 + 1) / 36))
    assert found.overall.mcnemar is None and found.overall.difference.n == 36
    assert found.undecided_replies == 2
    with pytest.raises(JuratError, match="A has 1 replies a sample, B has 2"):
        pair_logs(*read_logs([logs["open"]]), b)


def test_other_protocols_and_sets_are_refused(logs):
    a, b = read_logs([logs["open"], logs["silent"]])
    b.log.eval.metadata["protocol"] = "default"
    with pytest.raises(JuratError, match="under the protocol text_only, B under default") as caught:
        pair_logs(a, b)
    assert "--across-protocols" in str(caught.value.hint)
    assert pair_logs(a, b, across_protocols=True).samples == 36
    b.log.eval.metadata["set"] = "figstep"
    with pytest.raises(JuratError, match="A is of the set pictogram-typographic, B of figstep"):
        pair_logs(a, b)
    with pytest.raises(JuratError, match="no set in common: A has pictogram-typographic, B has figstep"):
        matched([a], [b])


def test_log_is_not_compared_with_itself(logs):
    (log,) = read_logs([logs["open"]])
    with pytest.raises(JuratError, match="A and B are the same log"):
        pair_logs(log, log)


def test_scorers_of_one_log_are_not_compared(logs):
    a, b = read_logs([logs["open"], logs["silent"]])
    strict = next(iter(b.samples[0].scores))
    for sample in b.samples:
        del sample.scores[strict]
    assert pair_logs(a, b).others == {STRICT: "only in A"}
    with pytest.raises(JuratError, match="Not both logs have the scorer 'refusal-phrases-strict'") as caught:
        pair_logs(a, b, ["refusal-phrases-strict"])
    assert LAX in str(caught.value.hint)
    for sample in b.samples:
        sample.scores = {}
    with pytest.raises(JuratError, match="no scorer in common"):
        pair_logs(a, b)


def test_scores_without_a_label_never_count_as_one(logs):
    a, b = read_logs([logs["open"], logs["silent"]])
    for sample in b.samples:
        for score in sample.scores.values():
            score.value = "judge refused"
    found = pair_logs(a, b).scorers[0]
    assert found.overall.difference.n == 0 and found.left_out == {"refused in B": 36}
    assert found.overall.facts()["a"] is None and found.overall.facts()["interval"] is None


def test_folders_give_one_log_a_set(logs, tmp_path):
    folder = logs["open"].parent.parent
    assert is_log(folder) and not is_log(tmp_path)
    with pytest.raises(JuratError, match="A has several logs of pictogram-typographic"):
        matched(read_logs([folder]), read_logs([logs["open"]]))
    with pytest.raises(JuratError, match="holds no log"):
        read_logs([tmp_path])
    assert len(read_logs([folder, logs["open"]])) == 3


def test_files_that_are_no_logs_are_passed_over(logs, tmp_path):
    (tmp_path / "a.json").write_text('{"version": 2, "other": 1}')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.eval").write_bytes(logs["open"].read_bytes())
    assert [log.path.name for log in read_logs([tmp_path])] == ["b.eval"]


def test_logs_of_one_model_are_told_apart_by_what_differs(logs, tmp_path):
    one = read_logs([logs["open"]])[0]
    again = replace(one, path=tmp_path / "again.eval")
    assert [each.name.rpartition(", ")[2] for each in named([one, again])] == [logs["open"].stem, "again"]
