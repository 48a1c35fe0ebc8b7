"""The words that `wording` looks for in a statement: English, lower case, grown from what policies say."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split(","))


SUBJECTIVE = _words(
    """
    abnormal abusive acceptable adequate adequately aggressive appropriate appropriately attractive
    awful bad beautiful creepy cruel dangerous dangerously degrading derogatory discriminatory
    disgusting disrespectful disturbing excessive excessively explicit extreme extremist frightening
    good gratuitous gross harmful hateful horrible horrific illegal illegally illicit immoral improper
    improperly inappropriate inappropriately indecent insensitive insulting lewd nasty nice normal
    objectionable obscene offensive problematic proper properly provocative provocatively questionable
    racist reasonable reasonably repulsive risky safely scary sensitive serious seriously severe
    severely sexist sexy shocking strange suggestive suggestively suitable suspicious suspiciously
    tasteful tasteless terrible threatening threateningly ugly unacceptable unethical unlawful
    unprofessional unreasonable unsafe unsuitable unusual violent vulgar weird wrong
    """
)
"""Ask for an opinion, or for what the law says."""

SUBJECTIVE_PHRASES = _phrases(
    """
    graphic content, graphic violence, safe distance, safe to, too close, too many, too much, too young
    """
)
"""The same in two words."""

INTENT = _words(
    """
    accidental accidentally could deliberate deliberately encourages encouraging endorses endorsing
    glorifies glorify glorifying implied implies implying incites inciting intentional intentionally
    knowingly malicious maliciously maybe might perhaps possibly presumably probably promotes promoting
    purposefully purposely suggesting suggests symbolises symbolizes unintentionally would
    """
)
"""Speak of intent, likelihood or meaning, which cannot be seen."""

INTENT_PHRASES = _phrases(
    """
    about to, appear to, appears to, attempt to, attempting to, attempts to, by accident, designed to,
    for the purpose of, going to, hopes to, in order to, intend to, intended for, intended to,
    intending to, intends to, likely to, means to harm, meant for, meant to, on purpose, planning to,
    plans to, seem to, seems to, so as to, tries to, try to, trying to, want to, wants to, willing to,
    wishes to, with intent, with the intent, with the intention
    """
)
"""The same in several words."""

QUESTION_WORDS = _words(
    """
    are did do does how is was were what when where which who whose why
    """
)
"""Begin a question."""

FUNCTION_WORDS = _words(
    """
    a all an and any are as at be been being both but by do does each every exactly few for from had has
    have here if in is least many more most of on one only or several some than the there three to two
    was were when with
    """
)
"""Name no thing that a pronoun could refer to."""

DETERMINERS = _words(
    """
    a an another any both each every five four many one several some the three two
    """
)
"""Begin the name of a thing, as a rule."""

PREPOSITIONS = _words(
    """
    about above across against along and around at before behind below beside between beyond by for from
    in inside into like near of off on onto or outside over past than through to toward towards under
    upon with
    """
)
"""After one of these a pronoun may refer to the one thing that is named: "blood on her"."""

PRONOUNS = _words(
    """
    he her hers him his it its she that their theirs them these they this those
    """
)
"""Refer to something named before."""

OBJECT_PRONOUNS = _words(
    """
    him it them these this those
    """
)
"""Right after a verb, refer to something other than its subject."""
