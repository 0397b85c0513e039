"""Cuts one process off from servers: a firewall rule drops what its group sends to their ports. Wants root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from random import randrange

from tests.servers import missing


class Cable:
    """Between all processes of one group and the servers on *ports*; `cut` and `mend` it."""

    def __init__(self, ports: list[int]) -> None:
        self.group = randrange(50_000, 60_000)
        wanted = ",".join(map(str, ports))
        match = f"-o lo -p tcp -m multiport --dports {wanted} -m owner --gid-owner {self.group}"
        self.rule = ["OUTPUT", *match.split(), "-j", "DROP"]

    @property
    def wrapper(self) -> list[str]:
        """Before the command of the process that is to be cut off."""
        return ["setpriv", f"--regid={self.group}", "--clear-groups"]

    def cut(self) -> None:
        """From now on nothing that it sends arrives, and no acknowledgement of what it gets."""
        subprocess.run(["iptables", "-w", "-I", *self.rule], check=True)

    def mend(self) -> None:
        """Twice is once."""
        subprocess.run(["iptables", "-w", "-D", *self.rule], check=False, stderr=subprocess.DEVNULL)


@contextmanager
def cable(ports: list[int]) -> Iterator[Cable]:
    """A whole one, and whole again at the end; skips (in CI fails) where the firewall may not be touched."""
    made = Cable(ports)
    if os.geteuid() or not shutil.which("iptables") or not shutil.which("setpriv"):
        missing("a partition wants root, iptables and setpriv")
    if subprocess.run(["iptables", "-w", "-C", *made.rule], capture_output=True, check=False).returncode not in (0, 1):
        missing("iptables does not work here")
    try:
        yield made
    finally:
        made.mend()
