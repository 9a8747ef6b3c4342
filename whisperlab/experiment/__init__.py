"""Running a Transcriber over a dataset: crash-safe ledger, runner, scores, provenance."""
