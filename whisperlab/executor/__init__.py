"""Where the parts of a run are run: one engine a file."""
