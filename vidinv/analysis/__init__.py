"""The first pass over a clip: shots, faces, face tracks, and the cache of detections on disk."""
