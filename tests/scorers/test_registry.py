"""Scorers by name, with options."""

import pytest

from jurat.errors import JuratError
from jurat.scorers import SCORERS, Judgement, ReplyScorer, ScorerEntry, open_scorer
from jurat.scorers.plugin import PlugInScorer

from .answers import answered


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("target-strin", "There is no scorer 'target-strin'.\n  Did you mean 'target-string'?"),
        ("target-string?mod=x", "The scorer 'target-string' has no option 'mod'.\n  Did you mean 'mode'?"),
        ("target-string", "The scorer 'target-string' needs mode.\n  target-string?mode=..."),
        (
            "target-string?mode=x",
            "The option mode of the scorer 'target-string' cannot be 'x': Input should be ",
        ),
        (
            "target-string?mode=exact&mode=contains",
            "The option 'mode' of the scorer 'target-string' is given twice.",
        ),
        ("target-string?mode=exact&fold=7", "The option fold of the scorer 'target-string' cannot be '7': "),
    ],
)
def test_wrong_names_and_options_are_said(name, message):
    with pytest.raises(JuratError) as raised:
        open_scorer(name)
    assert str(raised.value).startswith(message)


def test_option_in_the_name_and_as_an_argument_is_refused():
    with pytest.raises(JuratError) as raised:
        open_scorer("target-string?mode=exact", mode="contains")
    assert raised.value.message == "The option 'mode' of the scorer 'target-string' is given twice."


def test_options_of_a_query_are_read_as_their_types():
    scorer = open_scorer("target-string?mode=contains&fold=false&target=Bread")
    found = scorer.score([answered("Bread."), answered("bread.")])
    assert [one.label for one in found] == ["match", "no_match"]


def test_label_that_a_third_partys_scorer_does_not_have_is_an_error():
    class Strange(ReplyScorer):
        name, labels, positive = "strange@1", ("a", "b"), "a"

        def score(self, answered):
            said = [one.reply.text for one in answered]
            return [Judgement("scored", text, scorer=self.name) for text in said]

    entry = ScorerEntry("strange", "labels of its own", "strange:Strange", provider="acme 1.0")
    found = PlugInScorer(entry, Strange()).score([answered("a"), answered("A"), answered("b")])
    assert [(one.state, one.label) for one in found] == [("scored", "a"), ("error", None), ("scored", "b")]
    assert found[1].reason.endswith("it gave the label 'A', which is none of its labels")


def test_every_scorer_of_ours_states_its_evidence():
    assert [entry.name for entry in SCORERS if not entry.is_plug_in and not entry.evidence] == []
