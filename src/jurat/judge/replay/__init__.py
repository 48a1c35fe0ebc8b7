"""Decides recorded verdicts again under a changed constitution, without repeating model calls."""
