"""The stages of the judge, one a file."""
