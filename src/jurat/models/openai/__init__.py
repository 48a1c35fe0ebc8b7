"""Models behind an OpenAI-compatible server: the backend `openai/NAME`."""
