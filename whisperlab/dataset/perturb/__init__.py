"""Ways in which a recording gets worse, or merely different: one file each."""
