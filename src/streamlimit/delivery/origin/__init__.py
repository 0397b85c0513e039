"""Streams whose files are at an HTTP origin: found, read, and passed through. Asks no other server."""
