"""The command `python -m whisperlab.runs`: finished runs scored anew, compared, gated."""
