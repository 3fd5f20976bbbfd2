"""Video in and out: exact times, the source's own samples, everything else by stream copy."""
