"""Writes conversations with a model's chat template, which is tried once and checked.

Templates differ in what they take. Some print the list that a turn's content is, where they expect a text;
some leave out the system turn, or refuse it; some begin the answer with a thinking block. A conversation of
words that occur nowhere else is rendered in the forms that templates take, until one shows every word and
every image exactly once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jurat.content import Chat, Turn
from jurat.models.protocol import ModelError

_PROMPTS = {
    "blip-2": (
        "{% for turn in messages %}{% if turn['role'] == 'assistant' %} {{ turn['content'] }} "
        "{% else %}Question: {{ turn['content'] }} Answer:{% endif %}{% endfor %}"
    ),
    "instructblip": "{% for turn in messages %}{{ turn['content'] }}\n{% endfor %}",
}
"""Prompts of model types without chat templates, as their authors write them (arXiv 2301.12597, 2305.06500).
Their processors put the image before the text themselves."""
_TAGS = r"(think|thinking|reasoning|thought)"
_OPENED = re.compile(rf"<{_TAGS}>\s*\Z")
_CLOSED = re.compile(rf"</{_TAGS}>")
_SWITCH = "enable_thinking"
"""What templates of models that can think before they answer call that setting."""
_WORDS = {"system": "zebra", "instruction": "quokka", "answer": "narwhal", "question": "ocelot"}
"""The words of the trial conversation."""
_IMAGE = object()
_TOO_OFTEN = "more than once"


@dataclass(frozen=True)
class TemplateFormat:
    """How conversations are handed to a template."""

    texts: bool = False
    """A turn's content is a text in which the placeholder stands for images, not a list of parts."""
    folded: bool = False
    """What the system turn says goes before the first user turn."""
    placed: bool = True
    """The template writes placeholders; else the processor puts images before the text."""
    single: bool = False
    """Only one user turn is shown."""


@dataclass(frozen=True)
class ThinkingTags:
    """How a model writes what it thinks before it answers: <TAG>...</TAG>."""

    tag: str
    opened: bool
    """Whether the template opens the block; else the model does."""


_FORMS = [
    TemplateFormat(texts, folded, placed, single)
    for single in (False, True)
    for placed in (True, False)
    for texts in (False, True)
    for folded in (False, True)
]
"""The usual one first."""
_UNPLACED = [form for form in _FORMS if not form.placed]


class Template:
    """A model's chat template, in the form that shows all of a conversation."""

    def __init__(self, processor: Any, model_type: str = "") -> None:
        """Raises:
        ModelError: there is no template, or no form of a conversation shows all of it.
        """
        self._processor = processor
        self._tokenizer = getattr(processor, "tokenizer", processor)
        own = _source(processor) or _source(self._tokenizer)
        self.source = own or _PROMPTS.get(model_type)
        if not self.source:
            raise ModelError(
                "The model has no chat template, so conversations cannot be written for it.",
                hint="Put a chat_template.jinja into its folder; instruction-tuned models come with one.",
            )
        token = getattr(processor, "image_token", None)
        self.placeholder = None if token is None else str(token)
        """What the template writes for an image, as far as the processor tells."""
        self.form = self._choose(_FORMS if own else _UNPLACED)
        asked = (Turn("user", ("ocelot",)),)
        opened = _OPENED.search(self._written(asked, self.form))
        self.opens = opened is not None
        """Whether it opens a thinking block where the answer begins, though it is asked not to."""
        self.thoughts: ThinkingTags | None = None
        """How a model that can think writes its thoughts; None where it is not known to think."""
        if self.opens or _SWITCH in self.source:
            text = self._written(asked, self.form, thinking=True)
            tag = _OPENED.search(text) or _CLOSED.search(self.source)
            self.thoughts = ThinkingTags(tag[1] if tag else "think", _OPENED.search(text) is not None)
        self.one_image = self.form.placed and self._fault(self.form, 2) is not None
        """Whether a second image would not be shown."""

    def render(self, turns: Sequence[Turn], *, thinking: bool = False, continues: bool = False) -> str:
        """The conversation, up to where the answer begins: in a turn of its own, or behind the text of the
        last turn where it `continues` that. Without `thinking`, a thinking block that the template opens is
        closed.

        Raises:
            ModelError: the template writes one turn only, and there are more.
            ValueError: the template leaves out or changes the text of the last turn.
        """
        if self.form.single and sum(turn.role != "system" for turn in turns) > 1:
            raise ModelError(
                "The model's chat template writes one turn only, and the conversation has several."
            )
        text = self._written(turns, self.form, continues, thinking)
        opened = None if thinking or not self.opens else _OPENED.search(text)
        return text if opened is None else f"{text[: opened.end(1) + 1]}\n\n</{opened[1]}>\n\n"

    @property
    def pin(self) -> str:
        """Template and format as text; equal if conversations are rendered alike."""
        plain = self.form == TemplateFormat() and not self.opens
        return str(self.source) if plain else f"{self.source}\n{self.form} {self.opens}"

    @property
    def remarks(self) -> list[str]:
        """Deviations from the usual use of a template, for people to read."""
        found = [
            (self.form.texts, "it takes texts, not lists of parts"),
            (self.form.folded, "it has no system turn: what that says goes before the first user turn"),
            (not self.form.placed, "its processor puts the images before the text"),
            (self.form.single, "it shows one turn only"),
            (self.one_image, "it shows one image only"),
            (
                self.opens,
                "it opens a thinking block, which is closed unless thinking is asked for",
            ),
        ]
        return [text for holds, text in found if holds]

    def leave_images(self) -> None:
        """From now on no placeholders are written, since the processor puts images before the text itself.

        Raises:
            ModelError: the template writes them all the same.
        """
        self.form = self._choose(_UNPLACED)
        self.one_image = False

    def _choose(self, forms: Sequence[TemplateFormat]) -> TemplateFormat:
        reasons: list[str] = []
        for form in forms:
            if not form.placed and any(reason.endswith(_TOO_OFTEN) for reason in reasons):
                break  # the template does write placeholders
            if (reason := self._fault(form)) is None:
                return form
            reasons.append(reason)
        raise ModelError(
            f"The model's chat template does not show what it is given: {reasons[0]}.",
            hint="Put a chat_template.jinja into its folder that writes every turn and every image once.",
        )

    def _fault(self, form: TemplateFormat, images: int = 1) -> str | None:
        """What is wrong with the trial conversation in this format; None if it is complete."""
        shown: tuple[Any, ...] = (*[_IMAGE] * images, _WORDS["instruction"])
        turns = [Turn("system", (_WORDS["system"],)), Turn("user", shown)]
        if form.single:
            turns[1] = Turn("user", (*shown, _WORDS["answer"], _WORDS["question"]))
        else:
            turns += [Turn("assistant", (_WORDS["answer"],)), Turn("user", (_WORDS["question"],))]
        try:
            text = self._written(turns, form)
        except Exception as error:  # templates raise what they like, and fail as code does
            return re.sub(r"\s+", " ", f"it fails ({type(error).__name__}: {error})")[:300]
        for name, word in _WORDS.items():
            if text.count(word) != 1:
                return f"the {name} occurs {text.count(word)} times in what it writes"
        if "'type'" in text or '"type"' in text:
            return "it prints the list that a turn's content is"
        expected = images if form.placed else 0
        found = expected if self.placeholder is None else text.count(self.placeholder)
        if found > expected:
            return f"an image is written {_TOO_OFTEN}"
        return None if found == expected else f"it writes {found} of {images} images"

    def _written(
        self, turns: Sequence[Turn], form: TemplateFormat, continues: bool = False, thinking: bool = False
    ) -> str:
        options = {_SWITCH: thinking} if _SWITCH in str(self.source) else {}
        return str(
            self._processor.apply_chat_template(
                [
                    {"role": turn.role, "content": self._content(turn, form)}
                    for turn in (_folded(turns) if form.folded else turns)
                ],
                chat_template=self.source,
                add_generation_prompt=not continues,
                continue_final_message=continues,
                tokenize=False,
                **options,
            )
        )

    def _content(self, turn: Turn, form: TemplateFormat) -> str | list[dict[str, str]]:
        if not form.texts:
            return [part for part in _parts(turn) if form.placed or part["type"] != "image"]
        image = (self.placeholder or "") if form.placed else ""
        parts = [part if isinstance(part, str) else image for part in turn.parts]
        return "\n".join(part for part in parts if part)


def conversation(chat: Chat) -> tuple[tuple[str, tuple[str | None, ...]], ...]:
    """Roles and texts, with None in the place of each image."""
    return tuple(
        (turn.role, tuple(part if isinstance(part, str) else None for part in turn.parts))
        for turn in chat.turns
    )


def _source(owner: Any) -> str | None:
    """The template of a processor or a tokenizer, which may keep several by their names."""
    found = getattr(owner, "chat_template", None)
    return found.get("default") if isinstance(found, dict) else found


def _parts(turn: Turn) -> Iterator[dict[str, str]]:
    for part in turn.parts:
        yield {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}


def _folded(turns: Sequence[Turn]) -> list[Turn]:
    """The turns without system turns, whose texts are put before the first text of the next user turn."""
    folded: list[Turn] = []
    waiting: list[str] = []
    for turn in turns:
        if turn.role == "system":
            waiting.append(turn.text)
        elif turn.role == "user" and waiting:
            said, waiting = "\n".join(waiting), []
            folded.append(replace(turn, parts=_before_text(said, turn.parts)))
        else:
            folded.append(turn)
    return folded if not waiting else [*folded, Turn("user", tuple(waiting))]


def _before_text(said: str, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    for i, part in enumerate(parts):
        if isinstance(part, str):
            return (*parts[:i], f"{said}\n{part}", *parts[i + 1 :])
    return (*parts, said)
