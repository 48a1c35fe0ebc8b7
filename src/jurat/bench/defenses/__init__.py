"""Defenses compared: how much of what attacks take each wins back, and what it costs."""
