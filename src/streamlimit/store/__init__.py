"""Where the truth is kept: one contract (contract.py), one folder per engine."""
