"""Scenes to train on: what they hold, what in them is unknown, how they are varied, where they are kept."""
