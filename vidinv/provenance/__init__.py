"""What a file says of how it was made, and how that is put into it: metadata, report, C2PA manifest, watermark."""
