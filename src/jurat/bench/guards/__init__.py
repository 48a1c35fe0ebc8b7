"""Guard models on labelled images: each in its official class of transformers, with its official prompt.

`interface` defines what a guard returns; `taxonomy` maps its categories onto a user's rules; one file a
guard.
"""
