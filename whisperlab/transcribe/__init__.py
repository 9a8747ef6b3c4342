"""The command `python -m whisperlab.transcribe`: files in, transcripts out."""
