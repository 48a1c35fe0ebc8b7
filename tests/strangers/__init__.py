"""Pictures and rules that share no code with `training/`: strangers to the pictogram world, and scenes.

`kinds` has the kinds of pictures, `rules` two constitutions with scenes for each rule. `perf/strangers.py`
and `perf/bars.py` judge them.
"""
