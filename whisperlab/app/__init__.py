"""The command `python -m whisperlab.app`: one page over the same transcribers as the endpoint."""
