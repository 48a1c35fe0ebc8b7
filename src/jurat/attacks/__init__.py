"""Attacks on multimodal models, for models that one owns or may test: one engine, one file a method.

`engine` is the loop of attacks on pictures; `constraints`, `objectives`, `gradients`, `optimisers` and
`samplers` are what an attack is put together from, and `access` counts what it costs.
"""
