"""`python -m jurat`, for where the `jurat` script is not on the path."""

from __future__ import annotations

from jurat.cli import main

main()
