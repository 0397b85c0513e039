"""The composition root: the only room that names concrete parts. Settings in, a running worker out.

`engine.py` picks the engine of the store; `store.py`, `webhooks.py`, `feed.py`, `reporting.py`, `access.py` and
`streams.py` open one part each, `service.py` puts them together, `worker.py` runs them, with what `background.py` keeps
going beside the viewers. What not every process needs (the other engine, webhooks) is imported where it is opened, and
this file imports nothing: a start takes half as long.
"""
