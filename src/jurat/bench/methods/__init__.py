"""What is put to the bench: the judge's presets, and baselines that are not straw men."""
