"""Memory and descriptors of processes that live through the whole run.

Viewers' connections are not counted: which process has how many of them changes with chance and with every fault.
"""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bench.soak.judge import slope

WARM_UP = 0.25
"""The part of the run after which they are to be flat."""

PARTS = 8

SHORTEST_SECONDS = 1_200.0
"""A run that is shorter says nothing about growth: caches fill for minutes."""

MEMORY_MB_AN_HOUR, DESCRIPTORS_AN_HOUR = 10.0, 80.0
"""More is not flat."""

LEFT_DESCRIPTORS = 64
"""So many more than before may be open when all viewers have gone: files that are opened when first needed, and lines
to the receiver, up to 32, which are kept for a while.
"""


class Sample(NamedTuple):
    """At a moment of the run: anonymous memory in MB, open descriptors but for those of viewers' connections."""

    at: float
    memory: float
    descriptors: float


class Gauge:
    """Of one process, which viewers ask at one of these *ports*."""

    def __init__(self, name: str, pid: int, ports: Collection[int] = ()) -> None:
        self.name, self._pid, self._ports = name, pid, ports
        self.samples: list[Sample] = []

    def look(self) -> Sample:
        """Notes how it stands."""
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        memory = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1_024
        sample = Sample(time.monotonic(), memory, self._descriptors())
        self.samples.append(sample)
        return sample

    def _descriptors(self) -> int:
        viewers = self._viewers()
        return sum(name not in viewers for name in _names(Path(f"/proc/{self._pid}/fd")))

    def _viewers(self) -> set[str]:
        """Their sockets, as /proc names them (proc(5): `local_address` is the second field, the inode the tenth)."""
        rows = [line.split() for line in Path(f"/proc/{self._pid}/net/tcp").read_text().splitlines()[1:]]
        return {f"socket:[{row[9]}]" for row in rows if int(row[1].rpartition(":")[2], 16) in self._ports}

    def growth(self) -> tuple[float, float]:
        """Of memory (MB) and descriptors, an hour, after the warm-up."""
        first, last = self.samples[0].at, self.samples[-1].at
        warm = [sample for sample in self.samples if sample.at >= first + (last - first) * WARM_UP]
        memory = slope([(sample.at, sample.memory) for sample in warm])
        return memory * 3_600, slope([(sample.at, sample.descriptors) for sample in warm]) * 3_600

    def line(self) -> dict[str, str]:
        """As the report says it."""
        memory, descriptors = self.growth()
        first, last = self.samples[0], self.samples[-1]
        return {
            "process": self.name,
            "memory before, after (MB)": f"{first.memory:.1f}, {last.memory:.1f}",
            "at each eighth of the run": ", ".join(f"{sample.memory:.0f}" for sample in self._eighths()),
            "growth after the warm-up (MB an hour)": f"{memory:+.1f}",
            "descriptors before, after": f"{first.descriptors:.0f}, {last.descriptors:.0f}",
            "growth (an hour)": f"{descriptors:+.1f}",
            "flat": self.verdict(),
        }

    def _eighths(self) -> list[Sample]:
        last = len(self.samples) - 1
        return [self.samples[last * part // PARTS] for part in range(1, PARTS + 1)]

    def verdict(self) -> str:
        """Is it, where the run was long enough to tell?"""
        if self.samples[-1].at - self.samples[0].at < SHORTEST_SECONDS:
            return "too short to say"
        memory, descriptors = self.growth()
        left = self.samples[-1].descriptors - self.samples[0].descriptors
        flat = memory < MEMORY_MB_AN_HOUR and descriptors < DESCRIPTORS_AN_HOUR and left <= LEFT_DESCRIPTORS
        return "yes" if flat else "NO"


def _names(descriptors: Path) -> Iterator[str]:
    """What each of a process' descriptors is of. One may be closed while they are listed."""
    for descriptor in os.listdir(descriptors):
        with suppress(FileNotFoundError):
            yield os.readlink(descriptors / descriptor)
