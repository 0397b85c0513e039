"""Edges: other servers that move the bytes. One file per foreign protocol translates its requests for the limiter."""
