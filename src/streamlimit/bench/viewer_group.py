"""One user of a run: the state that its screens share, and the checks of its list of sessions."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from streamlimit.bench.calls import Calls
from streamlimit.bench.figures import Figures
from streamlimit.bench.proof import Proof
from streamlimit.bench.stage import Stage

LOOK_EVERY = 2.0
"""Segments between two checks of a user's list."""

END_TRIES = 5


@dataclass
class Run:
    """The state that all viewers share. *pace*: seconds between segments, with the speed."""

    stage: Stage
    figures: Figures
    pace: float
    over: asyncio.Event = field(default_factory=asyncio.Event)
    first_segments: dict[str, str] = field(default_factory=dict)
    """The name of each stream's first segment, for beginning again."""

    async def pause(self, seconds: float) -> bool:
        """Waits for *seconds*. False: the run is over."""
        try:
            await asyncio.wait_for(self.over.wait(), max(seconds, 0))
        except TimeoutError:
            return True
        return False

    async def until(self, moment: float) -> bool:
        """Waits until *moment* (monotonic seconds), and notes the delay. False: the run is over."""
        goes_on = await self.pause(moment - time.monotonic())
        if goes_on:
            self.figures.late.append(max(time.monotonic() - moment, 0))
        return goes_on


@dataclass
class ViewerGroup:
    """One user. *screens*: the number of players, which may be more than the seats."""

    user_id: str
    screens: int
    run: Run
    calls: Calls
    proof: Proof
    rng: random.Random

    @property
    def path(self) -> str:
        """The path of the user's sessions."""
        return f"/v1/users/{self.user_id}/sessions"

    async def look_on(self) -> None:
        """Checks the user's list of sessions periodically."""
        every = LOOK_EVERY * self.run.pace
        await self.run.pause(self.rng.uniform(0, every))
        while not self.run.over.is_set():
            await self.look()
            await self.run.pause(self.rng.uniform(0.5, 1.5) * every)

    async def look(self) -> int | None:
        """Checks the user's list once: the number of live sessions; None: not known."""
        answer = await self.calls.ask("look", "GET", self.path)
        if answer.status != 200:
            return None
        try:
            return self.proof.note_look(answer.document)
        except (KeyError, TypeError, ValueError):  # something else than the service answered
            return None

    async def end(self) -> int:
        """Ends all sessions of the user, and returns how many are left after a moment for pending requests."""
        left: int | None = None
        self.calls.figures = Figures()  # cleaning up is not measured
        for attempt in range(END_TRIES):
            await asyncio.sleep(0.05 * attempt)
            await self.calls.ask("end", "DELETE", f"{self.path}?reason=bench")
            left = await self.look()
            if left == 0:
                break
        return self.screens if left is None else left
