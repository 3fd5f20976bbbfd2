"""Many clips: their list, the journal that remembers them, and the workers of one machine or of a cluster."""
