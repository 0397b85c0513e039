"""The HTTP contract (docs/reference/calls.md), each call against a started server."""
