"""The careful one: FastAPI, and one script a request. It does and lacks what raw_scripted.py does and lacks.

The form is checked, which that one does not do.
"""

import os
import time

import valkey.asyncio
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from bench.peers.script import SCRIPT

app = FastAPI()
store = valkey.asyncio.from_url(os.environ["BENCH_STORE"])
admit = store.register_script(SCRIPT)


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
