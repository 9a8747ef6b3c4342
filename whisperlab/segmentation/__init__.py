"""Cutting long audio in front of any engine: one way a file, chosen by the configuration."""
