"""The text model that drafts clauses."""
