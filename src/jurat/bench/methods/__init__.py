"""Methods of the bench: the judge's presets and strong baselines."""
