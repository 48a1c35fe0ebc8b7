"""How the models that ship with jurat were made. Not installed: run `python -m training` in the repository.

One folder a model (`mllm`, `writer`, `clip`, `owl`); what several of them share lies beside the folders.
"""
