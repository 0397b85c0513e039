"""The brief, run against the real service."""
