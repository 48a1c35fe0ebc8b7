"""Many judgements to a number with an interval: pure functions on arrays, the table that holds judgements,
and the named metrics (`METRICS`), which take rows and say what they left out.

An outcome is 1 (positive: unsafe, broken), 0 (negative) or `UNSURE` (-1), which every rate counts as
an error. A score is the evidence for the positive class, in [0, 1]. Functions of single metrics take
`weights`, how often each judgement counts (1 each if left out), which is how the bootstrap draws samples.

Formulas that scikit-learn and scipy have too are ours only because the wheel without extras prints them.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
