"""Text normalisation and versioned scoring profiles, applied only when scoring."""
