"""Error counts, rates and their uncertainty, from pairs of texts."""
