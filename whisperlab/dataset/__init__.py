"""Sources of utterances: one file each, chosen by the configuration."""
