"""The parts of the benchmark; each runs alone: `python -m benchmarks columns`."""
