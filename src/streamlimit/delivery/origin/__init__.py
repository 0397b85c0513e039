"""Streams whose files are at an HTTP origin: found, read, and passed through. Asks nobody but that origin."""
