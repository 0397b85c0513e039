"""The stores of sessions: one contract (contract.py), one folder per engine."""
