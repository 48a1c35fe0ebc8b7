"""Why an image could not be read or decoded."""

from __future__ import annotations

from jurat.errors import JuratError


class ImageError(JuratError):
    """An image that cannot be judged. Its message is one line, and goes into the item's `error` row."""
