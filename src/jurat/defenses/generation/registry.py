"""Which defenses of text-to-image models there are.

A defense of ours is a file of this folder and an entry here; a third party's is an entry point of the group
`jurat.generation_defenses`, whose factory is a subclass of `GenerationDefense`.
"""

from __future__ import annotations

from jurat.defenses.generation.defense import GenerationDefense
from jurat.named_settings import open_named
from jurat.registry import Entry, Registry

__all__ = ["GENERATION_DEFENSES", "open_generation_defense"]


def _entry(name: str, where: str, summary: str, paper: str) -> Entry:
    return Entry(name, summary, f"jurat.defenses.generation.{where}", extra="diffusion", paper=paper)


GENERATION_DEFENSES: Registry[Entry] = Registry(
    "generation_defenses",
    "defense of text-to-image models",
    Entry,
    [
        _entry(
            "sld", "sld:Sld", "guidance away from a concept while a picture is sampled", "arXiv:2211.05105"
        ),
        _entry(
            "esd",
            "esd:Esd",
            "cross-attention is tuned to predict the noise without a concept",
            "arXiv:2303.07345",
        ),
        _entry(
            "uce",
            "uce:Uce",
            "cross-attention is edited in closed form to read a concept as another",
            "arXiv:2308.14761",
        ),
        _entry(
            "dual-latent",
            "dual_latent:DualLatent",
            "a second latent, sampled under a safe context, is mixed into the first",
            "arXiv:2411.13982",
        ),
    ],
)


def open_generation_defense(name: str) -> GenerationDefense:
    """A defense by its name, with settings behind a question mark: "uce?concept=a dog".

    Raises:
        JuratError: there is no such defense or setting, or a value does not fit.
    """
    return open_named(GENERATION_DEFENSES, name)
