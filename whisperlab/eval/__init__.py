"""The command `python -m whisperlab.eval`: measure one configuration, or sweep several."""
