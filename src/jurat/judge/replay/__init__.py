"""What becomes of recorded verdicts when the constitution changes, without asking again what was asked."""
