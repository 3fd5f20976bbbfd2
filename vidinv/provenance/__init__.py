"""Write and read the provenance of a file: metadata, report, C2PA manifest, watermark."""
