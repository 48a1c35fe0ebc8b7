"""Pictures and rules that share no code with `training/`: strangers to the world of pictograms, and scenes of it.

`kinds` has the kinds of pictures, `rules` two constitutions with scenes for each rule. `perf/strangers.py` and
`perf/bars.py` judge them.
"""
