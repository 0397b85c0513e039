"""An HTTP/1.1 server: bytes in, requests to one handler, answers out, and whether they arrived. Knows no session.

`connection` is the protocol class that uvicorn is given; `reader` makes requests of bytes; an `exchange` is one answer
on its way; `limits` are about clients that keep us waiting or are too many; `asgi` joins it with ASGI, both ways.
"""
