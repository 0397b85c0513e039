"""The script of the careful peers: a user's sessions are a sorted set, by when they were last here."""

SCRIPT = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2] - 180)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= 3 then return -1 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], 180)
return redis.call('ZCARD', KEYS[1])
"""


def loaded(port: int) -> str:
    """Its digest, by which the server on *port* knows it from now on."""
    import valkey

    with valkey.Valkey(port=port) as store:
        found: str = store.script_load(SCRIPT)
    return found
