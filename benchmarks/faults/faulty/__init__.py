"""A plug-in package for the campaigns."""
