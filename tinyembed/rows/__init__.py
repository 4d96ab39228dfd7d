"""Floor 2: rows that are updated lazily, caught up, kept on disk, reported on."""
