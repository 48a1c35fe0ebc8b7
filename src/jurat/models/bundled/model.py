"""The bundled model: a small MLLM of the LLaVA layout that knows scenes of pictograms, and its limits.

It wraps a `LocalModel` with the weights that ship with jurat, and knows the words that it learned
(`Vocabulary`), the statements that it answers correctly (`StatementReader`) and the images that it was
trained on (`DomainGate`). A question with an unknown word, a statement that it would answer wrongly, or an
image unlike any scene gets the failure `out_of_domain`, never Yes or No.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jurat.content import Chat, Failure, Reply
from jurat.models.bundled.domain_gate import OpenGate, has_gate, load_gate
from jurat.models.bundled.patch_gate import patches_of
from jurat.models.bundled.picture_size import misshapen
from jurat.models.bundled.statement_language import Language
from jurat.models.bundled.word_vocabulary import question_vocabulary
from jurat.models.capabilities import (
    ConcurrencySupport,
    Deterministic,
    DomainGate,
    PromptScore,
    PromptScores,
    Sized,
    StatementReader,
    Vocabulary,
)
from jurat.models.hf.batch_sizes import FEATURES
from jurat.models.hf.diagnosis import Diagnosable
from jurat.models.hf.differentiable import PixelEncoder
from jurat.models.hf.float_pixels import PIXELS, check_pixels
from jurat.models.hf.load_model import load
from jurat.models.hf.model import LocalModel
from jurat.models.hf.paired_decoding import PairDecoder
from jurat.models.hf.prompt_scores import PromptScorer
from jurat.models.hf.torch_threads import one_thread
from jurat.models.model_spec import ModelSpec
from jurat.models.protocol import (
    Answer,
    C,
    Inquiry,
    ModelError,
    YesNo,
    check_settings,
)
from jurat.models.white_box import (
    ChatPair,
    Differentiable,
    DifferentiableGate,
    DifferentiableText,
    Embedder,
    PairedDecoding,
    PairReply,
    Steerable,
)
from jurat.models.wrapper import ModelWrapper

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from jurat.models.hf.prompt import Prompt

WEIGHTS = Path(__file__).parent / "mllm"
NAIVE = Path(__file__).parent / "naive"
"""The naive organism of the bench: a decoder that was trained on other wordings than the judge's, on the
tower of the bundled model that shipped before, which was trained on the judge's."""

_LOOKS = 64
"""Prompts whose images the tower encodes together."""
_MOST_LANES = 4
_FOREIGN = "The image is unlike the scenes of pictograms that the bundled model knows."


def open_bundled(spec: ModelSpec) -> BundledModel:
    """The model that ships; with a reference, another one that `python -m training export` wrote to a
    folder, with its domain gate."""
    return BundledModel(_weights_of(spec), name=spec.name, device=spec.device, dtype=spec.dtype)


def _weights_of(spec: ModelSpec) -> Path:
    """The folder of "bundled" or "bundled/FOLDER"."""
    spec.check(reference="FOLDER", optional=True)
    return Path(spec.reference).expanduser() if spec.reference else WEIGHTS


def open_naive(spec: ModelSpec) -> BundledModel:
    spec.check()
    return BundledModel(NAIVE, name="naive", device=spec.device, dtype=spec.dtype)


def language_of(name: str) -> Language | None:
    """The statements that a model of this world may be asked, by its name or NAME@REVISION, without opening
    it; None for any other model.

    Raises:
        JuratError: "bundled/" with nothing behind the slash.
    """
    plain = name.partition("@")[0]
    folder = {"bundled": WEIGHTS, "naive": NAIVE}.get(plain)
    if plain.startswith("bundled/"):
        folder = _weights_of(ModelSpec(plain))
    return None if folder is None else Language.load(folder)


class BundledModel(ModelWrapper):
    """See the module's docstring."""

    passes = (Diagnosable, Deterministic, Sized, Differentiable, DifferentiableText, Steerable, Embedder)
    provides = (DomainGate, DifferentiableGate, ConcurrencySupport, PromptScores, PairedDecoding)

    def __init__(
        self,
        path: Path = WEIGHTS,
        *,
        name: str = "bundled",
        device: str | None = None,
        dtype: str | None = None,
        needs_gate: bool = True,
    ) -> None:
        """`path` is a folder with a LLaVA-style model and a domain gate, as training writes it.

        Args:
            needs_gate: whether the gate has to be there. Where it need not and is not, no image is refused as
                out of the domain, and the revision ends in "-ungated".

        Raises:
            ModelError: the weights or the gate are not there or cannot be loaded.
        """
        if not path.is_dir():
            raise ModelError(
                f"The weights of the bundled model are not there: {path}",
                hint="This installation of jurat is incomplete: install it again, or name another model."
                if path in (WEIGHTS, NAIVE)
                else "Name a folder that `python -m training export` wrote.",
            )
        # Pillow resizes alike everywhere; the gate's threshold was set on pixels that Pillow resized.
        self._local = LocalModel(load(path, device=device, dtype=dtype, image_backend="pil"), name=name)
        super().__init__(self._local)
        self._language = Language.load(path)
        numbers = self._language.numbers if self._language is not None else frozenset[str]()
        self._words = question_vocabulary(self._local.encoder.tokenizer, self._local.preparing, numbers)
        self._why_not = lru_cache(maxsize=4096)(self._unfit)  # the same questions come with every image
        self._asks_anything = False
        self._gate = load_gate(path) if needs_gate or has_gate(path) else OpenGate()
        self._pixels: PixelEncoder | None = None
        if self._on_cpu:
            # Its network has no state: threads may use it side by side.
            self._local.computing = nullcontext()

    @property
    def revision(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{super().revision}-ungated" if isinstance(self._gate, OpenGate) else super().revision

    @one_thread()
    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        known = [[i for i, q in enumerate(one.questions) if self._why_not(q) is None] for one in inquiries]
        asked = [
            replace(inquiry, questions=tuple(inquiry.questions[i] for i in ids))
            for inquiry, ids in zip(inquiries, known, strict=True)
        ]
        answers = self._local.score(self._seen(self._encoded(asked)))
        return [
            self._with_refused(answer, inquiry, ids)
            for answer, inquiry, ids in zip(answers, inquiries, known, strict=True)
        ]

    @one_thread()
    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        failures = self._foreign_in(chats)
        replies = iter(
            self._local.chat([chat for chat, failure in zip(chats, failures, strict=True) if failure is None])
        )
        return [Reply(failure=failure) if failure else next(replies) for failure in failures]

    @one_thread()
    def prompt_scores(
        self, chats: Sequence[Chat], continuations: Sequence[str]
    ) -> list[PromptScore | Failure]:
        """See `PromptScores`; conversations with images outside the domain are failures."""
        failures = self._foreign_in(chats)
        inside = [i for i, failure in enumerate(failures) if failure is None]
        scores = iter(
            PromptScorer(self._local).prompt_scores(
                [chats[i] for i in inside], [continuations[i] for i in inside]
            )
        )
        return [failure or next(scores) for failure in failures]

    @one_thread()
    def chat_pairs(self, pairs: Sequence[ChatPair]) -> list[PairReply]:
        """See `PairedDecoding`; pairs with images outside the domain are failures."""
        failures = self._foreign_in([Chat((*pair.first.turns, *pair.second.turns)) for pair in pairs])
        inside = [pair for pair, failure in zip(pairs, failures, strict=True) if failure is None]
        replies = iter(PairDecoder(self._local).chat_pairs(inside))
        return [PairReply(Reply(failure=failure)) if failure else next(replies) for failure in failures]

    def _foreign_in(self, chats: Sequence[Chat]) -> list[Failure | None]:
        """For each conversation, the failure of its first image outside the domain, or None."""
        # A judge reasons about many statements of one image, which the gate looks at once.
        shown = {id(image): image for chat in chats for image in chat.images}
        foreign = dict(zip(shown, self.foreign(list(shown.values())), strict=True))
        return [next((f for image in chat.images if (f := foreign[id(image)])), None) for chat in chats]

    def capability(self, kind: type[C]) -> C | None:
        if kind is Vocabulary:
            return cast(C, self._words)
        if kind is Deterministic and self._asks_anything:
            return None  # its priors must not enter the cache of the model that refuses statements
        if kind is StatementReader:
            return cast("C | None", self._language)
        if kind in (DomainGate, DifferentiableGate) and isinstance(self._gate, OpenGate):
            return None
        return super().capability(kind)

    def ask_anything(self) -> None:
        """Asks every statement whose words are known, to measure which are answered wrongly."""
        self._language, self._asks_anything = None, True
        self._why_not.cache_clear()

    def _unfit(self, question: str) -> str | None:
        """Why a question is not asked, in a sentence; None where it is."""
        if unknown := self._words.unknown_words(question):
            return f"The bundled model never learned {', '.join(map(repr, unknown))}."
        why = None if self._language is None else self._language.refusal_of_question(question)
        return None if why is None else f"The bundled model is not asked this statement: {why}."

    def _with_refused(self, answer: Answer, inquiry: Inquiry, asked: list[int]) -> Answer:
        """The answer with an `out_of_domain` failure for each question that was not asked."""
        if answer.failure is not None or len(asked) == len(inquiry.questions):
            return answer
        found = dict(zip(asked, answer.answers, strict=True))
        return replace(
            answer,
            answers=tuple(
                found.get(i) or YesNo(0.0, 0.0, Failure("out_of_domain", self._why_not(question) or ""))
                for i, question in enumerate(inquiry.questions)
            ),
        )

    @property
    def _on_cpu(self) -> bool:
        return self._local.network.device.type == "cpu"

    @property
    def lanes(self) -> int:
        """On a CPU one for each of torch's threads, up to `_MOST_LANES`: a network this small gains little
        from several threads in one pass."""
        import torch

        return min(_MOST_LANES, torch.get_num_threads()) if self._on_cpu else self._local.lanes

    def at_work(self) -> AbstractContextManager[None]:
        """On a CPU each concurrent call computes with one thread."""
        return one_thread() if self._on_cpu else nullcontext()

    @one_thread()
    def foreign(self, images: Sequence[Image.Image]) -> list[Failure | None]:
        """See `DomainGate`."""
        looks = self._encoded([Inquiry(_look(image), ("",)) for image in images])
        return [entry if isinstance(entry, Failure) else None for entry in self._seen(looks)]

    @one_thread()
    def excess(self, pixels: Sequence[Tensor], *, rounded: bool = False) -> Tensor:
        """See `DifferentiableGate`; images of which the tower sees too little are not told apart."""
        import torch

        check_pixels(pixels)
        self._pixels = encoder = self._pixels or PixelEncoder(self._local)
        with torch.enable_grad():
            with self._local.preparing:
                shown = encoder.about_each(_look(None), pixels, rounded=rounded)
            with self._local.computing:
                seen = self._tower([prompt.images[PIXELS] for prompt in shown])
                return self._strangeness(seen) - self._gate.threshold

    def _encoded(self, inquiries: Sequence[Inquiry]) -> list[list[Prompt] | Failure]:
        """Each inquiry's prompts, or a failure for an image that is `misshapen`."""
        why = [next(filter(None, map(misshapen, inquiry.prefix.images)), None) for inquiry in inquiries]
        fitting = [inquiry for inquiry, reason in zip(inquiries, why, strict=True) if reason is None]
        encoded = iter(self._local.encode(fitting))
        return [next(encoded) if reason is None else Failure("out_of_domain", reason) for reason in why]

    def _seen(self, encoded: Sequence[list[Prompt] | Failure]) -> list[list[Prompt] | Failure]:
        """The same with the tower's features in place of the pixels, and with failures in place of prompts
        with foreign images. The tower encodes an image once, for the gate and the answers."""
        seen = list(encoded)
        shown = [
            i for i, e in enumerate(encoded) if isinstance(e, list) and e and "pixel_values" in e[0].images
        ]
        for first in range(0, len(shown), _LOOKS):
            some = shown[first : first + _LOOKS]
            entries = [cast("list[Prompt]", encoded[i]) for i in some]
            looks = self._look_at([entry[0].images["pixel_values"] for entry in entries])
            for i, entry, (features, strange) in zip(some, entries, looks, strict=True):
                # NaN counts as foreign too.
                if bool((strange <= self._gate.threshold).all()):
                    seen[i] = [replace(prompt, images={FEATURES: features}) for prompt in entry]
                else:
                    seen[i] = Failure("out_of_domain", _FOREIGN)
        return seen

    def _look_at(self, pixels: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """The features of each prompt's images for the decoder, and the strangeness of each image."""
        import torch

        sizes = [len(each) for each in pixels]
        with self._local.computing, torch.inference_mode():
            made = self._tower(pixels)
            strange, features = self._strangeness(made), torch.stack(list(made.pooler_output))
        return zip(features.split(sizes), strange.split(sizes), strict=True)

    def _tower(self, pixels: Sequence[Tensor]) -> Any:
        """What the tower makes of each prompt's images, hidden states included."""
        import torch

        model = self._local.network.model
        stacked = torch.cat(list(pixels)).to(model.device, model.dtype)
        return model.get_image_features(stacked, output_hidden_states=True, return_dict=True)

    def _strangeness(self, seen: Any) -> Tensor:
        """Strangeness of each image, (n,)."""
        tower = self._local.network.model.vision_tower
        return self._gate.strangeness_of(seen.hidden_states, patches_of(tower))


def _look(image: Any) -> Chat:
    from jurat.content import Turn

    return Chat((Turn("user", (image,)),))
