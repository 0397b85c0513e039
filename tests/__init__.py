"""Tests mirror src; test names are sentences."""
