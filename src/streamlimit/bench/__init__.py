"""`streamlimit bench URL`: realistic viewers of a running service, and a check of its limit from outside.

Imports no other part of streamlimit: its verdict rests on the HTTP contract, not on code that the service runs.
"""
