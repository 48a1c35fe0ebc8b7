"""Pages of what models answered, side by side, with what was judged of each answer."""
