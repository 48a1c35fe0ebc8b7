"""Statements to ask about a scene: every kind, as many true as false, with arguments that are not there.

`SHARES` says, as data, which forms of each kind are asked: what is near, what is absent, what looks alike. A
form that can be true and false is asked as often true as false, so that no form gives its answer away; a
relation is false where an argument is absent, so such forms have their counterpart in negated kinds, where
they are true.

`shares` is the table of forms; `offers` finds what there is to ask about in a scene; `proposals` makes a
statement of each kind; `questioner` draws them in balance.
"""

from training.questions.proposals import anything
from training.questions.questioner import Drawn, Questioner
from training.questions.shares import KINDS, MOST_ASKED, SHARES, forms

__all__ = ["KINDS", "MOST_ASKED", "SHARES", "Drawn", "Questioner", "anything", "forms"]
