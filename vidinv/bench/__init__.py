"""Measuring the main job: whole, beside the serial flow that others publish, and beside what the machine can do."""
