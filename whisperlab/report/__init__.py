"""Tables, figures and the one-file HTML report of a finished run."""
