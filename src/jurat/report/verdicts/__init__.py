"""Reports on verdicts: the page of a run, two runs compared, tickets, figures, and verdicts in words."""
