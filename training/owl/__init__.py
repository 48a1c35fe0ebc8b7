"""The bundled detector: an OWL-ViT on the MLLM's vision tower."""
