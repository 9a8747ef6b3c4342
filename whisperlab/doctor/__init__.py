"""What works on this machine, in words that people paste into issues: no secrets, no folders."""
