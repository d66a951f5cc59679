"""The LABELS kind: ground truth that comes in any order and at any time, kept beside its events, all revisions."""
