"""Defenses of text-to-image models: concept removal, and what intervenes at inference; one file a method."""
