"""Clauses, objects and descriptions of rules, drafted by a model for a person to read."""
