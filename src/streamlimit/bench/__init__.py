"""`streamlimit bench URL`: realistic viewers of a running service, and a check of its limit from outside.

Imports nothing of ours: what it says of a service rests on the HTTP contract, not on code that the service runs, too.
"""
