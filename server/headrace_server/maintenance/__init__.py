"""What has to be done once for all replicas and by no ingest: retention, and the roll-ups' refresh."""
