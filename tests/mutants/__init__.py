"""Named breakages: each must be noticed by some test. `make mutants` (or `python -m tests.mutants [NAME …]`) runs them.

Each module here lists those of one area in `MUTANTS`; `runner.py` breaks a copy of src, one breakage at a time.
"""
