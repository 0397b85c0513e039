"""`python -m bench.traced FILE`: `streamlimit serve` that writes down which of its own functions run.

SIGUSR1 begins to write down, SIGUSR2 ends it: FILE then holds one line a call, `file function`, in their order. A
resumed coroutine counts as a call, as it is one for a reader.
"""

import signal
import sys
from pathlib import Path
from types import FrameType

import streamlimit
from streamlimit.cli import main

OURS = str(Path(streamlimit.__file__).parent) + "/"


def trace_into(file: Path) -> None:
    """Lets the two signals begin and end."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            calls.append(f"{frame.f_code.co_filename.removeprefix(OURS)} {frame.f_code.co_name}")

    def begin(_number: int, _frame: FrameType | None) -> None:
        calls.clear()
        sys.setprofile(note)

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.setprofile(None)
        whole = file.with_suffix(".new")
        whole.write_text("".join(f"{call}\n" for call in calls))
        whole.rename(file)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)


if __name__ == "__main__":
    trace_into(Path(sys.argv[1]))
    sys.argv = ["streamlimit", "serve"]
    main()
