"""Attacks on pictures compared: the same goals, pictures, budgets and number of gradient passes for all."""
