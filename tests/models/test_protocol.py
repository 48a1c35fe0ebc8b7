import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jurat.content import Chat, Turn
from jurat.models import YesNo

probabilities = st.floats(0, 0.5)


@given(probabilities, probabilities)
def test_score_and_log_odds_agree(yes: float, no: float) -> None:
    answer = YesNo(yes, no)
    assert 0 <= answer.score <= 1
    assert math.isfinite(answer.log_odds)
    if yes > 1e-9 and no > 1e-9:
        assert answer.log_odds == pytest.approx(math.log(answer.score / (1 - answer.score)), abs=1e-4)


def test_log_odds_keep_what_the_score_rounds_away() -> None:
    assert YesNo(1.0, 1e-30).score == 1.0
    assert YesNo(1.0, 1e-30).log_odds == pytest.approx(30 * math.log(10))


def test_an_unanswered_question_is_neither_yes_nor_no() -> None:
    assert (YesNo(0, 0).score, YesNo(0, 0).mass, YesNo(0, 0).log_odds) == (0.5, 0, 0)


def test_a_turn_tells_its_text_from_its_images() -> None:
    image = Image.new("RGB", (2, 2))
    chat = Chat((Turn("system", ("Be brief.",)), Turn("user", (image, "What", "is this?"))))
    assert chat.images == (image,)
    assert chat.turns[1].text == "What\nis this?"
