"""OWL-ViT and OWLv2 of transformers as detectors: the bundled one, and `hf/NAME_OR_PATH`.

Every patch of the image proposes one box, and has a confidence for every word on its own: a child may be
found as "child" and as "person". Of the boxes for one word, those that overlap a more confident one by more
than `OVERLAP` (intersection over union) are dropped, since several patches often propose the same thing.
A model of the hub is asked for "a photo of a WORD", as these models were trained; the bundled one for the
word itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jurat.content import Failure
from jurat.models.hf.float_pixels import PIXELS, FloatProcessor, check_pixels
from jurat.models.hf.image_inputs import batches, joined, prepare
from jurat.models.hf.image_text_model import BundledDomain, ImageTextModel, load_bundled
from jurat.models.hf.load_model import LoadedModel, load
from jurat.models.protocol import ModelError
from jurat.models.vision import Box
from jurat.models.white_box import Proposals

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

WEIGHTS = Path(__file__).parents[1] / "bundled" / "owl"
OVERLAP = 0.5
LEAST_SCORE = 0.01
"""Boxes with less confidence are not returned."""
MOST_BOXES = 50
"""For one word in one image: the most confident."""
PROMPT = "a photo of a {}"
_FAMILY = "AutoModelForZeroShotObjectDetection"


def open_local(reference: str, device: str | None) -> LocalDetector:
    loaded = load(reference, device=device, family=_FAMILY)
    return LocalDetector(loaded, name=f"hf/{reference}")


def open_bundled(_reference: str, device: str | None, folder: Path = WEIGHTS) -> LocalDetector:
    """The detector for scenes of pictograms. `folder` holds other weights of its making."""
    loaded = load_bundled(folder, device, what="detector", family=_FAMILY)
    world = BundledDomain(folder, loaded.processor.tokenizer)
    return LocalDetector(loaded, name="bundled", prompt="{}", world=world)


class LocalDetector(ImageTextModel):
    """See the module's docstring."""

    def __init__(
        self, loaded: LoadedModel, *, name: str, prompt: str = PROMPT, world: BundledDomain | None = None
    ) -> None:
        """`prompt` is what the model is asked for, with `{}` for the word.

        Raises:
            ModelError: the model is no OWL-ViT or OWLv2.
        """
        if not hasattr(loaded.network, "image_embedder"):
            raise ModelError(
                f"{name!r} is a {type(loaded.network).__name__}, and no OWL-ViT or OWLv2.",
                hint="Name one of those: hf/google/owlv2-base-patch16-ensemble",
            )
        super().__init__(loaded, name=name, world=world)
        self._padded = bool(getattr(loaded.processor.image_processor, "do_pad", False))
        self._prompt = prompt
        self._floats: FloatProcessor | None = None

    def detect(
        self, images: Sequence[Image.Image], words: Sequence[Sequence[str]]
    ) -> list[list[Box] | Failure]:
        found: list[list[Box] | Failure] = [self._unreadable(asked) or [] for asked in words]
        searched = {
            i: image for i, image in enumerate(images) if words[i] and not isinstance(found[i], Failure)
        }
        prepared = prepare(self._processor.image_processor, searched)
        found = [f if isinstance(f := prepared.get(i), Failure) else was for i, was in enumerate(found)]
        for group in batches(prepared):
            pixels = joined(prepared, group, self.network.device)["pixel_values"]
            parts = self._search(pixels, [words[i] for i in group], [images[i].size for i in group])
            for i, part in zip(group, parts, strict=True):
                found[i] = part
        return found

    def proposals(
        self, pixels: Sequence[Tensor], words: Sequence[Sequence[str]], *, rounded: bool = False
    ) -> list[Proposals]:
        """See `jurat.models.white_box.DifferentiableDetector`."""
        import torch

        check_pixels(pixels)
        if len(pixels) != len(words) or not all(words):
            raise ValueError("There must be at least one word for each image.")
        if failures := [failure for asked in words if (failure := self._unreadable(asked))]:
            raise ModelError(failures[0].reason)
        official = self._processor.image_processor
        self._floats = floats = self._floats or FloatProcessor(official, self.name)
        with torch.no_grad(), self._threads():
            queries, mask = self._queries(words)
            # What was read for `detect` cannot enter a graph.
            queries = queries.clone()
        with torch.enable_grad(), self._threads():
            made = floats.inputs([[one] for one in pixels], rounded=rounded)
            return [
                self._proposed(inputs[PIXELS].to(self.network.device), queries[n : n + 1], mask[n : n + 1])
                for n, inputs in enumerate(made)
            ]

    def _proposed(self, pixels: Tensor, queries: Tensor, mask: Tensor) -> Proposals:
        """What is proposed of one image, by the parts that `_search` uses."""
        network, world = self.network, self._world
        map_, _ = network.image_embedder(pixel_values=pixels.to(network.dtype))
        logits, _ = network.class_predictor(map_.flatten(1, 2), queries, mask)
        log_odds = logits[0].float()[:, mask[0]]
        excess = None if world is None else world.excess(network.base_model.vision_model, pixels)[0]
        return Proposals(log_odds, excess)

    def _unreadable(self, words: Sequence[str]) -> Failure | None:
        for word in words:
            count = len(self._processor.tokenizer(self._prompt.format(word), verbose=False)["input_ids"])
            if count > self._limit:
                return Failure(
                    "error", f"{word!r} makes {count} tokens; the detector reads {self._limit} at most."
                )
        return self._world.strange_words(words) if self._world else None

    def _search(
        self, pixels: Tensor, words: Sequence[Sequence[str]], sizes: Sequence[tuple[int, int]]
    ) -> list[list[Box] | Failure]:
        import torch

        with torch.inference_mode(), self._threads():
            network = self.network
            map_, _ = network.image_embedder(pixel_values=pixels.to(network.dtype))
            patches = map_.flatten(1, 2)
            boxes = _corners(network.box_predictor(patches, map_).float())
            queries, mask = self._queries(words)
            logits, _ = network.class_predictor(patches, queries, mask)
            scores = logits.float().sigmoid().cpu()
            foreign = self._world.foreign(network.base_model.vision_model, pixels) if self._world else None
        found: list[list[Box] | Failure] = []
        for n, asked in enumerate(words):
            strange = foreign[n] if foreign else None
            there = boxes[n].cpu() * _extent(sizes[n], self._padded)
            own = scores[n, :, : len(asked)]
            # Compared with a threshold they would be no boxes, as if nothing was there.
            if strange is None and not bool(there.isfinite().all() and own.isfinite().all()):
                strange = Failure("error", "The detector's boxes or confidences are not finite.")
            found.append(strange or _ordered(there, own, asked, sizes[n]))
        return found

    def _queries(self, words: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Embeddings of each image's words, (n, most words, width), and which are meant."""
        import torch

        places = {word: n for n, word in enumerate(dict.fromkeys(word for asked in words for word in asked))}
        embedded = self._read(list(places))
        rows = [embedded[[places[word] for word in asked]] for asked in words]
        mask = torch.nn.utils.rnn.pad_sequence(
            [torch.ones(len(row), dtype=torch.bool) for row in rows], batch_first=True
        )
        queries = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return queries, mask.to(queries.device)

    def _of_texts(self, texts: Sequence[str]) -> Tensor:
        tokens = self._processor.tokenizer(
            [self._prompt.format(word) for word in texts], padding=True, return_tensors="pt"
        ).to(self.network.device)
        return self.network.base_model.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output


def _corners(boxes: Tensor) -> Tensor:
    """(..., 4) of centre, width and height -> left, top, right and bottom."""
    import torch

    middle, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([middle - size / 2, middle + size / 2], -1)


def _extent(size: tuple[int, int], padded: bool) -> Tensor:
    """What a box's shares are shares of, in pixels of the image. OWLv2's processor pads an image on the right
    or below to a square; OWL-ViT's stretches it."""
    import torch

    width, height = (max(size), max(size)) if padded else size
    return torch.tensor([width, height, width, height])


def _ordered(boxes: Tensor, scores: Tensor, words: Sequence[str], size: tuple[int, int]) -> list[Box]:
    """The boxes to return, from boxes (P, 4) in pixels and scores (P, Q)."""
    limit = boxes.new_tensor([*size, *size])
    boxes = boxes.clamp(min=0).minimum(limit)
    real = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    found: list[Box] = []
    for q, word in enumerate(words):
        chosen = (real & (scores[:, q] >= LEAST_SCORE)).nonzero()[:, 0]
        for i in _unsuppressed(boxes[chosen], scores[chosen, q])[:MOST_BOXES]:
            p = int(chosen[i])
            x0, y0, x1, y1 = boxes[p].tolist()
            found.append(Box(x0, y0, x1, y1, float(scores[p, q]), word))
    return sorted(found, key=lambda box: -box.score)


def _unsuppressed(boxes: Tensor, scores: Tensor) -> list[int]:
    """Greedy non-maximum suppression; the boxes kept, most confident first."""
    import torch

    order = scores.argsort(descending=True, stable=True)
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    shared = torch.minimum(boxes[:, None, 2:], boxes[:, 2:]) - torch.maximum(boxes[:, None, :2], boxes[:, :2])
    overlap = shared.clamp(min=0).prod(-1)
    near = overlap / (sides[:, None] + sides - overlap) > OVERLAP
    kept: list[int] = []
    gone = torch.zeros(len(boxes), dtype=torch.bool)
    for i in order.tolist():
        if not gone[i]:
            kept.append(i)
            gone |= near[i]
    return kept
