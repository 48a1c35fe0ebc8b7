"""A judge's numbers, fitted to a user's own images, with labels or without."""
