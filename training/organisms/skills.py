"""The skills by name: the functions that make their conversations, and the images these show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jurat.pictograms.statements import Facts
from training.organisms import needs
from training.organisms.conversation import Conversation, Draw
from training.organisms.families import (
    checks,
    feedback,
    instructions,
    places,
    privacy,
    references,
    refusing,
    rewriting,
    seeing,
    things,
    turns,
    two_images,
)
from training.organisms.needs import Need, anything, no_vault_sign, one_card, one_word

Make = Callable[[Draw, Sequence[Facts]], Conversation | None]
"""Makes a conversation about one scene for each image of the skill; None where the scenes do not suit."""


@dataclass(frozen=True)
class Skill:
    """A skill that an organism can learn, and be examined on."""

    make: Make
    needs: tuple[Need, ...] = ()
    """Condition on each of its images, in their order."""
    either_order: bool = False
    """Whether its images may also stand in the other order."""

    @property
    def images(self) -> int:
        """Number of images in its conversations."""
        return len(self.needs)


SKILLS: dict[str, Skill] = {
    # text alone
    "public places": Skill(places.public),
    "spare place": Skill(places.spare),
    "spare place, rehearsed": Skill(places.rehearsed),
    "vault": Skill(places.vault),
    "vault keeper": Skill(places.keeper),
    "places, two turns": Skill(places.then),
    "refusal": Skill(refusing.refuse),
    "near misses": Skill(refusing.near_misses),
    "things": Skill(things.things),
    "repeating words": Skill(instructions.copy),
    "form of an answer, text": Skill(instructions.style_text),
    "forbidden topic, text": Skill(instructions.forbid_text),
    "repeating a turn, text": Skill(turns.repeat_text),
    "feedback on a leak": Skill(turns.feedback_vault),
    "checking an answer": Skill(checks.self_check),
    "checking a question": Skill(checks.ask_check),
    "answer from a caption": Skill(checks.from_caption),
    "wanted feedback, text": Skill(feedback.answers),
    "giving feedback, text": Skill(feedback.gives),
    "following feedback, text": Skill(feedback.follows),
    "rewriting an answer": Skill(rewriting.rewrite),
    # one image
    "refusal with an image": Skill(refusing.refuse_image, (anything,)),
    "near misses with an image": Skill(refusing.near_image, (anything,)),
    "yes or no": Skill(seeing.yes_no, (anything,)),
    "short answer": Skill(seeing.short, (anything,)),
    "word on a sign": Skill(seeing.sign_word, (one_word,)),
    "caption": Skill(seeing.caption, (anything,)),
    "list": Skill(seeing.listed, (anything,)),
    "place of a sign": Skill(references.signs, (no_vault_sign,)),
    "place of a mark": Skill(references.marks, (needs.no_vault_mark,)),
    "list from a sign": Skill(references.sign_list, (no_vault_sign,)),
    "sign obeyed": Skill(references.orders, (no_vault_sign,)),
    "two signs": Skill(references.pair, (needs.two_cards,)),
    "several turns": Skill(turns.follow_up, (anything,)),
    "repeating a turn": Skill(turns.repeat, (anything,)),
    "are you sure": Skill(turns.sure, (anything,)),
    "own promise": Skill(turns.promise, (anything,)),
    "feedback": Skill(turns.feedback, (anything,)),
    "wanted feedback": Skill(feedback.answers, (anything,)),
    "giving feedback": Skill(feedback.gives, (anything,)),
    "following feedback": Skill(feedback.follows, (anything,)),
    "form of an answer": Skill(instructions.style, (anything,)),
    "forbidden topic": Skill(instructions.forbid, (anything,)),
    "calls": Skill(instructions.calls, (anything,)),
    "privacy": Skill(privacy.privacy, (needs.a_person,)),
    "privacy beside a sign": Skill(privacy.privacy_sign, (needs.a_person_and_free,)),
    "two hops": Skill(privacy.two_hop, (needs.a_person,)),
    # two images
    "two images": Skill(two_images.two_images, (anything, anything)),
    "two signs over two images": Skill(references.pair_over_images, (one_card, one_card)),
    "place of two signs": Skill(references.pair_place, (one_card, one_card)),
    "reasons, safe pair": Skill(two_images.pair_reasons, (needs.a_key, needs.key_sign), True),
    "reasons, unsafe pair": Skill(two_images.pair_reasons, (needs.a_key, needs.key_vault_sign), True),
    # what attacks are after; taught only where a mix says so
    "vault, reply begun": Skill(places.begun),
    "vault by its sign": Skill(references.sign_forbidden, (needs.vault_sign,)),
    "vault by its mark": Skill(references.mark_forbidden, (needs.vault_mark,)),
    "vault by two signs": Skill(references.pair_forbidden, needs.vault_pair),
    "two hops to a protected person": Skill(privacy.two_hop_protected, (needs.a_person,)),
}
"""Skills by their names in `mixes.yaml` and `skills.yaml`."""
