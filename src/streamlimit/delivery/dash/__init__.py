"""DASH manifests (ISO 23009-1), parsed into listings."""
