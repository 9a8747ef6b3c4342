"""The command `python -m whisperlab.serve`: transcribers behind OpenAI's audio API."""
