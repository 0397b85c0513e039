"""Tests of `streamlimit bench`."""
