"""Guard models on labelled images: each in its official class of transformers, with its official prompt.

`interface` says what a guard gives; `taxonomy` maps its categories onto a user's rules; one file a guard.
"""
