"""Preprocessing variants: one file each, composed in list order by the configuration."""
