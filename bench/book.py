"""The whole report, and README's table: from report.json alone, so that a test can tell a figure edited by hand."""

from collections.abc import Callable
from typing import Any

from bench import noise, race, tables
from bench.aims import AIMS, aims
from bench.names import NAIVE_SITTING, PEER_SITTING, SITTING_ON_SQLITE, SITTING_ON_VALKEY

BEGIN, END = "<!-- bench: written by `make bench`, checked by tests/test_bench_table.py -->", "<!-- /bench -->"

IN_README = (SITTING_ON_VALKEY, PEER_SITTING, SITTING_ON_SQLITE, NAIVE_SITTING)
DECISIONS = """One server core; wrk (`-t1 -c32`) and the store share the other. Median of {rounds} interleaved rounds
of {seconds} s, each after a second that does not count; a ratio is taken within its round. Limit 3; all rules,
validation and metrics are on. Who the peers are and what they lack: [compared](../../docs/compared.md).

- Sitting: a heartbeat of one of 1,000 sessions that sit, decided and confirmed.
- New: a session never seen is seated and confirmed.
- Refused first: a session never seen, of one of 1,000 users whose seats are all taken. Peers know no other refusal.
- Refused from memory: 20 sessions that ask again and again; the store is asked of each about once a second.
- CPU: user and system time, per request, of the service; of the store where it is a server, all six of a cluster. Where
  the service's CPU times its rate is well below a core, driver and store were the bound, not the service.
- p99 at half: see below. The race: each of {racers} users comes with 8 players at once; of how many users were more
  than 3 admitted?
- Two workers run on both cores, which they share with wrk and the store: with so few cores these rows show that nothing
  breaks, not what a second worker adds. The cluster is three primaries with a replica each, all on that one core."""

RACE = f"The race: {race.USERS} users come with {race.TOGETHER} players each, all at once; the limit is {race.LIMIT}."

AT_HALF = """Requests come by chance (Poisson) at half of the rate that the row had in the same round; a latency counts
from the moment when the request was to be sent. The driver is Python on the store's core, where the store goes
first (`SCHED_IDLE`); what it is late itself is part of the latencies."""

DELIVERY = """3 MB and 100 KB segments with receipts beside nginx's static files (sendfile) on the same core. Median of
{rounds} interleaved rounds of {seconds} s."""

SWEEP = """{sessions:,} sessions all due at once, swept by two callers together (each was told to exactly one), beside
two processes that delete as many keys or rows, 100 at a time. A viewer asks some 400 times a second meanwhile. Median
of {rounds} rounds, ratios within a round. Aims: 5 times the bare delete, 2 times the viewer's p99 of idle; why they are
missed or met is in [sweep.md](sweep.md)."""

CROWD = """One worker on Valkey that is filled further and further, three sessions a user, ids of 36 characters;
heartbeats of sessions at random over HTTP, median of {rounds} rounds of {seconds} s. Memory: what the worker's resident
memory and the store's `used_memory` grew by since the line above, per session."""

STARTUP = """From the start of the command `streamlimit serve` on the sample streams, caches of the system warm. The
control plane (FastAPI) is imported in a thread while viewers are answered already; `/readyz` waits for it."""

EDGES = """Taken from [edges.md](edges.md), which `python -m bench.edges` writes, and which has p99 and aims. One nginx
worker hands out the bytes; CPU is its own and that of whom it asks, a segment."""

ELSEWHERE = """- what the store's scripts take from a thousand sessions to a million: [Valkey](growth-valkey.md),
  [Redis](growth-redis.md) (`python -m bench.growth`)
- [a limit at an nginx that moves the bytes](edges.md) (`python -m bench.edges`)
- [what viewers notice of a failover](failover.md) (`python -m bench.failover`)
- [the sweep with 100,000 sessions](sweep.md) (`python -m bench.sweep`)
- [attackers beside viewers](guards.md) (`python -m bench.guards`)
- today's code beside an earlier commit's: `python -m bench.versus`
- our client beside others: `python -m bench.valkey_client`"""


def report(parts: dict[str, Any], notes: str = "") -> str:
    """results/report.md. *notes*: what a person wrote, in results/notes.md."""
    good = {name: part["data"] for name, part in parts.items() if "data" in part}
    text = ["# How fast", "Made by `make bench` from report.json, never by hand."]
    text += ["## Aims", aims(good)]
    known: dict[str, str] = {}
    for name, (title, body) in SECTIONS.items():
        if name in parts:
            text += [f"## {title}", *_facts(parts[name]["facts"], known), *_section(parts[name], body)]
    text += ["## Elsewhere", ELSEWHERE]
    if notes:
        text += ["## Notes", notes.strip()]
    return "\n\n".join(text) + "\n"


def _facts(facts: dict[str, str], known: dict[str, str]) -> list[str]:
    """What was measured and on what, as far as it is not what the section before had, too."""
    new = {name: text for name, text in facts.items() if known.get(name) != text}
    known |= facts
    return ["\n".join(f"- {name}: {text}" for name, text in new.items())] if new else []


def _section(part: dict[str, Any], body: Callable[[dict[str, Any]], list[str]]) -> list[str]:
    found = [f"**It failed:** `{part['problem']}`"] if "problem" in part else []
    return found + (body(part["data"]) if "data" in part else [])


def _decisions(data: dict[str, Any]) -> list[str]:
    how = DECISIONS.format(rounds=data["rounds"], seconds=data["seconds"], racers=race.USERS)
    table, *more = figures(data)
    return [how, *noisy(data), table, "![Decisions a second](report.svg)", *more]


def figures(data: dict[str, Any]) -> list[str]:
    """Of decisions, without a word on how they were measured."""
    text = [tables.decisions(data, race.USERS)]
    text += [f"**Failed:** {row}: `{found['problem']}`" for row, found in data["rows"].items() if "problem" in found]
    text += [f"Left out: {row} ({why})." for row, why in data["left out"].items()]
    if any(row.get("half") for row in data["rows"].values()):
        text += ["### At half of that rate", AT_HALF, tables.at_half(data)]
    return text


def noisy(data: dict[str, Any]) -> list[str]:
    """How much the floors differed from round to round, and whether that is too much; what a report says of it."""
    made = data.get("noise")
    if not made or data["rounds"] < 2:
        return []
    word = f"**{noise.WORD[0].upper()}{noise.WORD[1:]}:**" if noise.is_too_noisy(min(made)) else "Noise:"
    spreads = f"the rates of the floors differed by {min(made):.0%} from round to round ({noise.MOST:.0%} at most)"
    asked = data["rounds"]
    more = f", in the {asked} that agree best of {asked + len(made) - 1}" if len(made) > 1 else ""
    return [f"{word} {spreads}{more}."]


SECTIONS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "decisions": ("Decisions a second", _decisions),
    "delivery": ("Bytes per server CPU second", lambda data: [DELIVERY.format(**data), tables.delivery(data)]),
    "edges": ("At an edge", lambda data: [EDGES, tables.edges(data)]),
    "crowd": ("A crowd", lambda data: [CROWD.format(**data), tables.crowd(data)]),
    "million": ("A million (`python -m bench million`)", lambda data: [CROWD.format(**data), tables.crowd(data)]),
    "startup": ("Start-up", lambda data: [STARTUP, tables.startup(data)]),
    "sweep": ("The sweep beside a bare delete", lambda data: [SWEEP.format(**data), tables.sweep(data)]),
}


def readme(parts: dict[str, Any]) -> str:
    """README's block, marks and all."""
    data, facts = parts["decisions"]["data"], parts["decisions"]["facts"]
    raced = [RACE] if any("over" in data["rows"].get(name, {}) for name in IN_README) else []
    where = f"{facts['machine']}; {facts['system']}; commit {facts['commit']}, {facts['date']}."
    return "\n\n".join([BEGIN, tables.in_short(data, IN_README, race.USERS), *raced, *noisy(data), where, END])


def with_table(text: str, block: str) -> str:
    """*text* with the block between the marks replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has lost its marks {BEGIN} … {END}")
    return before + block + after


def missed(parts: dict[str, Any]) -> list[str]:
    """Aims that what was measured does not meet."""
    good = {name: part["data"] for name, part in parts.items() if "data" in part}
    return [aim.what for aim in AIMS if "missed" in aim.line(good)[-1]]
