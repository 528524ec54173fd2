"""What several commands need: one way to speak, to end, to find jobs, to show values."""
