"""Benchmarks: measure the main job end to end, against a serial baseline, and against the limits of the machine."""
