"""What users hold: clients, jobs, futures, executors."""
