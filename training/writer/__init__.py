"""The bundled writer, a text model that drafts clauses."""
