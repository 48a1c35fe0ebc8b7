"""Makes torchvision importable beside a torch that it was not built for.

transformers imports torchvision wherever it is installed. Its compiled operators need a torch of the same
version and build: beside another one (a CPU build of torch, say, with torchvision from the package index,
which is built for CUDA) `import torchvision` fails, and with it every processor of transformers. Image and
video processors use only torchvision's transforms, which are Python. So the operators that its import asks
for are declared, without code behind them; calling one fails as it should.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")
_MOST_OPERATORS = 16
_declared: list[Any] = []
"""Objects of `torch.library.Library`: a declaration lasts as long as its object."""


@cache
def prepare_torchvision() -> bool:
    """Whether torchvision's transforms can be used. Call it before transformers' processors are imported.

    Where torchvision is installed and cannot be imported at all, it is hidden from the rest of this process,
    so that transformers does without it.
    """
    if find_spec("torchvision") is None:
        return False
    import torch

    for _ in range(_MOST_OPERATORS):
        try:
            import_module("torchvision.transforms.v2")
            return True
        except Exception as error:  # what a build that does not fit raises differs by version and system
            missing = _MISSING.search(str(error))
            if missing is None:
                break
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{missing[1]}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
            _declared.append(library)
    sys.modules["torchvision"] = None  # pyright: ignore[reportArgumentType]
    return False
