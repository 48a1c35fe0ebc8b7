"""Conversations that teach the organisms their skills, and the exams that measure them.

`skills.yaml` says which skills a victim of each attack, or a model behind each defense, must have, and
`mixes.yaml` which stage is taught what; `python -m training.organisms` prints conversations, runs exams and
writes the table of docs/organisms.md.
"""
