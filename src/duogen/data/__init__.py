"""Data sets, the batch stream that never ends, and the download of files with known checksums."""
