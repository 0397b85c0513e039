"""The composition root, the only package that names concrete parts: settings in, a running worker out.

`engine.py` picks the engine of the store; `store.py`, `webhooks.py`, `feed.py`, `reporting.py`, `access.py` and
`streams.py` open one part each, `service.py` puts them together, `worker.py` runs them with the background work of
`background.py`. Parts that not every process needs (the other engine, webhooks) are imported where they are opened, and
this file imports nothing: that halves the time of a start.
"""
