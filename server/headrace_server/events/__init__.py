"""The EVENTS kind: inferences as they were served, immutable, one hypertable a model."""
