"""Speech recognisers behind one protocol: one file each, chosen by the configuration."""
