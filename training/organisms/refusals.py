"""The refusals that organisms learn, read from `wordings/replies.yaml`."""

from __future__ import annotations

from typing import Literal

from pydantic import RootModel

from jurat.yaml_files import read_yaml
from training.organisms.conversation import WORDINGS


class _Replies(RootModel[dict[Literal["vault", "topic", "private"], str]]):
    pass


REFUSALS = read_yaml(WORDINGS / "replies.yaml", _Replies, "list of refusals").root
"""What is refused -> the refusal."""
