"""Words that a shell can complete, and the scripts that make bash, zsh and fish complete them."""
