"""Batteries: sets x models x scorers, evaluated cell by cell, with one table of all judgements.

A battery is a YAML file (`battery_file`). Each of its cells has a digest of all that determines its replies
(`cells`), by which its log is found again (`logs`); what is missing is run (`running`), and the results are
a table of judgements in Parquet and a table of numbers in Markdown (`results`).
"""

from __future__ import annotations
