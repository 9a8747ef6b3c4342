"""The command `python -m whisperlab.search`: race configurations, recommend one."""
