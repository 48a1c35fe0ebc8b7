"""The bundled MLLM: a LLaVA of 4.7 million parameters, and the naive organism of the bench."""
