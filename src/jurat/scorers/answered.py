"""Whether there is a reply: for metrics that compare its text with accepted answers or captions."""

from __future__ import annotations

from jurat.scorers.judgement import Answered, Judgement
from jurat.scorers.reply_scorer import ReplyScorer


class HasText(ReplyScorer):
    """The label `text` for each reply that has one; an empty reply is `unparsed`, a failed one an `error`."""

    name, labels, positive = "text@1", ("text",), "text"

    def judge(self, answered: Answered) -> Judgement:
        return self.scored("text")
