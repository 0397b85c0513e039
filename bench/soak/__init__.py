"""A long run under faults, on both stores: `make soak`, or `python -m bench.soak --minutes 10`.

Viewers watch, zap, leave and come at half of the rate that this machine was found to carry, while about every 20 s
something breaks: a worker, a node of the store, the way to it, a disk, a clock, the receiver of the webhooks. What
must hold is checked all the time (`judge.py`); the report tells what happened, and every exception that a rule allows.
"""
