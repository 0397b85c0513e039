"""The report's parts as Markdown. Pure: from what report.json holds, so that a test can make them again."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from bench.names import FLOOR, PEER, SHORT, peer_of

Part = dict[str, Any]


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def middle(loads: list[Part], field: str) -> float:
    """The median of the rounds."""
    return median(float(load[field]) for load in loads)


def rate_of(part: Part, row: str) -> float | None:
    """Decisions a second; None where the row was not measured."""
    loads = loads_of(part, row)
    return middle(loads, "per_second") if loads else None


def loads_of(part: Part, row: str | None) -> list[Part]:
    """The rounds of that row; none where it was not measured."""
    return part["rows"].get(row, {}).get("loads", [])


def ratio(part: Part, row: str, to: str | None, field: str) -> float | None:
    """Of two rows, each within its round, and the median of that; None where one of them was not measured."""
    pairs = [(load[field], base[field]) for load, base in zip(loads_of(part, row), loads_of(part, to), strict=False)]
    found = [load / base for load, base in pairs if base]
    return median(found) if found else None


def short(rate: float) -> str:
    """Three figures and a unit."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if rate >= limit:
            return f"{rate / limit:.2f}{unit}" if limit > 1e3 else f"{rate / limit:.1f}{unit}"
    return f"{rate:.0f}"


LATENCIES = ("p50_ms", "p99_ms", "p999_ms")
LATENCY_HEADS = ["p50 ms", "p99 ms", "p99.9 ms"]


def latencies(loads: list[Part]) -> list[str]:
    """Three cells."""
    return [f"{middle(loads, name):.2f}" for name in LATENCIES]


def decisions(part: Part, users: int) -> str:
    """One line a row: ratios first. The race was one of *users*."""
    heads = ["what", f"rate × {SHORT[FLOOR]}", f"CPU × {SHORT[FLOOR]}", f"CPU × {SHORT[PEER]}"]
    heads += ["CPU µs", "store's CPU µs", "a second", "p99 ms at half", "errors", "users over the limit in a race"]
    lines = []
    for name, row in part["rows"].items():
        loads = row["loads"]
        if not loads:
            lines.append([name, *["–"] * (len(heads) - 1)])
            continue
        ratios = [_ratio(part, name, FLOOR, "per_second"), _ratio(part, name, FLOOR, "cpu_us")]
        ratios.append(_ratio(part, name, peer_of(name), "cpu_us"))
        store = middle(loads, "store_us") if "store_us" in loads[0] else 0
        figures = [f"{middle(loads, 'cpu_us'):.1f}", f"{store:.1f}" if store else ""]
        figures += [short(middle(loads, "per_second")), _p99_at_half(row)]
        lines.append([name, *ratios, *figures, str(sum(load["errors"] for load in loads)), _race(row, users)])
    return table(heads, lines)


def in_short(part: Part, names: Sequence[str], users: int) -> str:
    """The same of the rows *names*, with fewer columns, for those who pass by."""
    rows = {name: part["rows"][name] for name in names if loads_of(part, name)}
    raced = any("over" in row for row in rows.values())
    lines = []
    for name, row in rows.items():
        ratios = [_ratio(part, name, FLOOR, field) for field in ("per_second", "cpu_us")]
        rate = short(middle(row["loads"], "per_second"))
        lines.append([name, *ratios, rate, *([_race(row, users)] if raced else [])])
    heads = ["what", f"rate × {SHORT[FLOOR]}", f"CPU × {SHORT[FLOOR]}", "a second"]
    return table([*heads, "users over the limit in a race"] if raced else heads, lines)


def _ratio(part: Part, row: str, to: str | None, field: str) -> str:
    found = ratio(part, row, to, field)
    return "" if found is None else f"**{found:.2f}**"


def _p99_at_half(row: Part) -> str:
    return f"{middle(row['half'], 'p99_ms'):.2f}" if row.get("half") else ""


def _race(row: Part, users: int) -> str:
    over = row.get("over")
    return "" if over is None else "none" if over == 0 else f"**{over} of {users}**"


def at_half(part: Part) -> str:
    """Latencies at half of a row's own rate, and how late the driver itself was."""
    lines = []
    for name, row in part["rows"].items():
        if half := row.get("half"):
            rates = [short(middle(half, field)) for field in ("asked", "answered")]
            late, errors = f"{middle(half, 'late_p99_ms'):.2f}", str(sum(each["errors"] for each in half))
            lines.append([name, *rates, *latencies(half), late, errors])
    return table(["what", "asked a second", "answered", *LATENCY_HEADS, "driver late, p99 ms", "errors"], lines)


def delivery(part: Part) -> str:
    """Each size beside nginx."""
    lines = []
    for name, row in part["rows"].items():
        loads, nginx = row["loads"], part["rows"]["nginx, " + name.partition(", ")[2]]["loads"]
        base, bytes_ = (middle(each, "bytes_per_cpu_second") for each in (nginx, loads))
        ratio, errors = f"**{bytes_ / base:.2f}**", str(sum(load["errors"] for load in loads))
        lines.append([name, ratio, short(bytes_), f"{middle(loads, 'cpu_us'):.1f}", *latencies(loads), errors])
    return table(["what", "× nginx", "bytes per CPU second", "CPU µs a segment", *LATENCY_HEADS, "errors"], lines)


def edges(part: Part) -> str:
    """A line for each recipe: by size the bytes a CPU second beside bare nginx, then the CPU of all a segment."""
    sizes = part["sizes"]
    heads = ["recipe", *(f"{size}: × bare nginx" for size in sizes), *(f"{size}: CPU µs" for size in sizes)]
    lines = []
    for recipe in next(iter(sizes.values())):
        found = [rows[recipe] for rows in sizes.values()]
        ratios = [f"**{row['ratio']:.2f}**" for row in found]
        lines.append([recipe, *ratios, *(f"{row['nginx_us'] + row['asked_us']:.0f}" for row in found)])
    return table(heads, lines)


def sweep_ratios(rounds: list[Part]) -> dict[str, float]:
    """Each within its round: times of the bare delete, of its CPU, of the viewer's p99 of idle and beside it."""

    def cpu(each: Part, which: str) -> float:
        return float(each[f"{which}_cpu"] + each[f"{which}_server"])

    return {
        "time": median(each["sweep"] / each["bare"] for each in rounds),
        "cpu": median(cpu(each, "sweep") / cpu(each, "bare") for each in rounds),
        "idle": median(each["sweep_p99"] / each["idle_p99"] for each in rounds),
        "beside": median(each["sweep_p99"] / each["bare_p99"] for each in rounds),
    }


def sweep(part: Part) -> str:
    """Each kind of store."""
    lines = []
    for kind, rounds in part["kinds"].items():
        ratios = [f"{ratio:.2f}" for ratio in sweep_ratios(rounds).values()]
        figures = [
            f"{median(each[name] for each in rounds):.2f}" for name in ("sweep", "bare", "idle_p99", "sweep_p99")
        ]
        lines.append([kind, f"**{ratios[0]}**", *ratios[1:], *figures])
    ratio_heads = [
        "× time of the bare delete",
        "× its CPU",
        "× viewer's p99 of idle",
        "× viewer's p99 beside the delete",
    ]
    figure_heads = ["µs a session", "µs a bare delete", "viewer's p99 idle, ms", "during the sweep, ms"]
    return table(["store", *ratio_heads, *figure_heads], lines)


def crowd(part: Part) -> str:
    """A line for each size."""
    least = part["lines"][0]
    heads = ["sessions", f"× rate of {least['sessions']:,}", "heartbeats a second", "CPU µs", "p99 ms"]
    heads += ["worker's bytes a session", "store's bytes a session"]
    lines = []
    for line in part["lines"]:
        ratio = f"**{line['per_second'] / least['per_second']:.2f}**"
        memory = [f"{line[name]:.0f}" if name in line else "" for name in MEMORY]
        rate, cpu = short(line["per_second"]), f"{line['cpu_us']:.1f}"
        lines.append([f"{line['sessions']:,}", ratio, rate, cpu, f"{line['p99_ms']:.2f}", *memory])
    return table(heads, lines)


MEMORY = ("worker bytes a session", "store bytes a session")


def startup(part: Part) -> str:
    """Each store."""
    heads = ["store", "first heartbeat answered, s", "of it CPU, s", "`/readyz` says 200, s", "all starts, s"]
    lines = []
    for store, starts in part["starts"].items():
        figures = [f"{middle(starts, name):.2f}" for name in ("first answer", "cpu", "ready")]
        every = ", ".join(f"{each['first answer']:.2f}" for each in starts)
        lines.append([store, f"**{figures[0]}**", *figures[1:], every])
    return table(heads, lines)
