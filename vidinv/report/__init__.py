"""Reports of a run: the JSON sidecar, flags and gate, HTML pages, and evaluations of inversions and edits."""
