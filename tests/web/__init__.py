"""The HTTP contract (api.md), each call against a started server."""
