"""The names of the reference rows, and which row is compared with which. Pure: report.json alone is enough."""

FLOOR = "uvicorn raw ASGI, JSON, no store"
FLOORS = ("nginx answering 204", "uvloop and httptools alone, JSON, no store", FLOOR)
"""They do the same work each time: how much they differ tells what the machine is worth."""

PEER = "nginx and Lua, one script a request"
"""The quickest of what people write themselves and that keeps the limit."""

NAIVE = "FastAPI, get-check-set"
"""What one writes first. It oversells."""

ON_VALKEY, ON_SQLITE = "streamlimit on Valkey", "streamlimit on SQLite"
SITTING_ON_VALKEY, NEW_ON_VALKEY = f"{ON_VALKEY}, sitting", f"{ON_VALKEY}, new"
SITTING_ON_SQLITE, NEW_ON_SQLITE = f"{ON_SQLITE}, sitting", f"{ON_SQLITE}, new"
FROM_MEMORY = f"{ON_VALKEY}, refused from memory"
PEER_SITTING, PEER_NEW = f"{PEER}, sitting", f"{PEER}, new"
NAIVE_SITTING = f"{NAIVE}, sitting"

SHORT = {FLOOR: "raw ASGI", PEER: "nginx and Lua"}


def kind_of(row: str) -> str:
    """Of request; what the peers have one of, they have no memory for."""
    kind = row.rpartition(", ")[2]
    return "refused" if kind.startswith("refused") else kind


def peer_of(row: str) -> str | None:
    """The row of `PEER` to which this one is compared."""
    kind = kind_of(row)
    return f"{PEER}, {kind}" if kind in ("sitting", "new", "refused") else None
