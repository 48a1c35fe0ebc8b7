"""The bundled matcher: a CLIP on the MLLM's vision tower."""
