"""Tests of the recorder, the hub and the listener, on a feed in memory."""
