"""Faults, dealt to real processes by a seeded schedule, while producers write down what they were promised.

The way of a run: `schedule` chooses faults and moments, `system` is what they befall (database, replicas, producers),
`faults` deals them, each `producer` keeps an `oracle`, `verdict` holds the oracles against the tables, `report` tells.
`make chaos` runs it; tests/e2e/test_chaos.py runs a short one.
"""
