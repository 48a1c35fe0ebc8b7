"""Concept removal in text-to-image models compared: attacked by found prompts, and defended at inference."""
