"""What parts do beside their callers: tests wait for its end, or see that there is none of it."""

import asyncio


def tasks_beside() -> set["asyncio.Task[object]"]:
    """All of this loop but the caller's own."""
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


async def until_nothing_is_done_beside() -> None:
    """Waits for them, and for those that they begin. Raises what one of them raised."""
    async with asyncio.timeout(30):
        while tasks := tasks_beside():
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()
