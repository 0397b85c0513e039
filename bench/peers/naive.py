"""The racy counter: FastAPI, and Redis by get, check, set.

What it does: about three sessions a user, who lose their seats after 180 s of silence; the form is checked. What it
lacks, beside all that scripted.py does: two who come together both find room, so it sells more seats than there are.
"""

import json
import os
import time

import valkey.asyncio
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()
store = valkey.asyncio.from_url(os.environ["BENCH_STORE"])


class Beat(BaseModel):
    user_id: str
    session_id: str
    stream_id: str


@app.post("/beat")
async def beat(form: Beat) -> dict[str, int]:
    found = await store.get(form.user_id)
    sessions = json.loads(found) if found else {}
    now = time.time()
    sessions = {name: at for name, at in sessions.items() if now - at < 180}
    if form.session_id not in sessions and len(sessions) >= 3:
        raise HTTPException(409, "too many")
    sessions[form.session_id] = now
    await store.set(form.user_id, json.dumps(sessions), ex=180)
    return {"live_sessions": len(sessions)}
