"""What viewers notice when a primary of the cluster dies, or hangs.

`python -m bench.failover [ROUNDS]`: 600 sitting viewers fetch every second through two workers, newcomers come 25 times
a second; a primary gets SIGKILL, another SIGSTOP. The code is that of tests/e2e/test_failover.py.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.machine import described
from bench.report import RESULTS, write
from tests import servers
from tests.e2e.failover import N, X, over_limit, play_through, two_workers

USERS = 200
NODE_TIMEOUT_MS = 1_000


def measure(kind: str) -> list[dict[str, Any]]:
    """One round: a line for each fault."""
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.cluster(kind, NODE_TIMEOUT_MS) as cluster,
        two_workers(Path(folder), cluster.url) as services,
    ):
        audience, figures = asyncio.run(play_through(cluster, services, USERS))
        over = asyncio.run(over_limit(audience, services[0].port))
    return [{"server": kind} | line | {"users over the limit afterwards": len(over)} for line in figures]


def main(rounds: int) -> None:
    """Writes results/failover.md and .json."""
    lines = [line for _ in range(rounds) for kind in ("redis", "valkey") for line in measure(kind)]
    (RESULTS / "failover.json").write_text(json.dumps({"machine": described(), "rounds": lines}, indent=1) + "\n")
    names = list(lines[0])
    rows = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    rows += ["| " + " | ".join(str(line[name]) for name in names) + " |" for line in lines]
    setting = f"X = {X} s, n = {N}, cluster-node-timeout {NODE_TIMEOUT_MS} ms, 3 primaries and 3 replicas, 2 workers, "
    setting += f"{USERS} users with 3 sessions each; clients, workers and servers share the machine."
    print(write("failover", "Failover: what viewers notice", [setting, "\n".join(rows)]).read_text())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
