"""Models of transformers that run on this machine: the backend `hf/NAME_OR_PATH`."""
