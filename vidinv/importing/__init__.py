"""Import a user's published weights into the cache."""
