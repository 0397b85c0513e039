"""Mirrors src/streamlimit/delivery."""
