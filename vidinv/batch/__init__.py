"""Process many clips: the input list, the journal, and the workers of one machine or a cluster."""
