"""Streams and their segments, and the delivery of bytes to clients. Knows no web framework."""
