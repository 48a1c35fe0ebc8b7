"""Judges, baselines and guard models on someone's own labelled images: reading labels, measuring, the page.

`layouts` and `exports` read what labelling tools write into `Rating`s; `truth` makes one truth of several
annotators; `run` judges and measures; `summary` and `page` show the result.
"""
