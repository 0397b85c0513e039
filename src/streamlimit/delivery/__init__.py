"""Streams and their segments, and the bytes on their way to the client. Knows no web framework."""
