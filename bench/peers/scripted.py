"""The careful one: FastAPI, and a script on a sorted set in Redis for each request."""

import os
import time

import valkey.asyncio
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()
store = valkey.asyncio.from_url(os.environ["BENCH_STORE"])
admit = store.register_script(
    """
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2] - 180)
    if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= 3 then return -1 end
    redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
    redis.call('EXPIRE', KEYS[1], 180)
    return redis.call('ZCARD', KEYS[1])
    """
)


class Beat(BaseModel):
    user_id: str
    session_id: str
    stream_id: str


@app.post("/beat")
async def beat(form: Beat) -> dict[str, int]:
    live = await admit(keys=[form.user_id], args=[form.session_id, time.time()])
    if live < 0:
        raise HTTPException(409, "too many")
    return {"live_sessions": live}
