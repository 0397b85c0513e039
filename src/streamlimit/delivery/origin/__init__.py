"""Streams whose files are at an HTTP origin: discovered, read, and relayed. Asks no other server."""
