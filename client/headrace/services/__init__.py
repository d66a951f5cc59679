"""What the service does beside taking rows in: registry, datasets, dead letters, jobs, reports."""
