"""A small file of an origin, in memory, as delivery wants an opened file."""

from hashlib import blake2b

from streamlimit.delivery.local import Body, MemoryFile


def memory_body(content: bytes, path: str, etag: str | None = None) -> Body:
    """*content*, as the origin sent it, with the origin's *etag* where it is a strong one, else one of the bytes."""
    body = Body(MemoryFile(content), path)
    is_strong = etag is not None and etag.startswith('"') and etag.endswith('"') and etag.isascii() and len(etag) > 2
    body.etag = etag if etag is not None and is_strong else f'"{blake2b(content, digest_size=9).hexdigest()}"'
    return body
