"""One reader and one card a set; `jurat.benchmarks.registry` finds them by their cards."""
