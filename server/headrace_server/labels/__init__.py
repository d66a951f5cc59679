"""The LABELS kind: ground truth that comes late, in any order, joined to its event as soon as both are there."""
