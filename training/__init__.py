"""How the models that ship with jurat were made. Not installed: run `python -m training` in the repository.

Each model has a folder (`mllm`, `writer`, `clip`, `owl`, `organisms`); shared code lies beside the folders.
"""
