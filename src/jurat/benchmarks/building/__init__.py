"""Builds evaluation sets: a writer model drafts, builders render, filters and reviewers decide."""
