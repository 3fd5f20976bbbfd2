"""Published weights that a user has, brought into the cache."""
