"""The console: the page for operators and support staff, and the few calls that only it makes.

`page.py` hands out the page and signs a browser of this machine in; `series.py` keeps the last hour and day for its
charts. All else that it shows and does are the operator's calls that everybody has.
"""
