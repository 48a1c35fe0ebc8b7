"""The judge under attack: what it says of scenes that were changed to mislead it."""
