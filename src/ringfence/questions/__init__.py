"""What can be asked of a snapshot: one file per question."""
