"""Models behind a decisions endpoint: the backend `decisions/NAME`."""
