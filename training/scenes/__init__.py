"""Scenes for training: their composition, unknown things, variations and storage."""
