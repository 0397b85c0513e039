"""results/soak.md, from what the runs found."""

from collections import Counter
from pathlib import Path

from bench.report import write
from bench.soak.houses import LIMIT, N, X
from bench.soak.run import EVERY_SECONDS, Outcome

MUST_NOT_BE = ("oversold", "sitting refused", "seat left", "event lost", "traceback in a log")
SHOWN = 20

HOW = """`python -m bench.soak`: X = {X} s, n = {N}, {limit} seats a user and {players} players, each of whom asks every
{every:.0f} s (40 % segments, 60 % heartbeats), zaps every 5 to 15 s, and leaves after 15 to 90 s: by an end, a
termination, or in silence."""


def report(outcomes: list[Outcome], notes: str) -> Path:
    """Of one run, or several after each other."""
    how = HOW.format(X=X, N=N, limit=LIMIT, players=LIMIT + 1, every=EVERY_SECONDS)
    parts = [how, *([notes] if notes else []), _verdict(outcomes)]
    for outcome in outcomes:
        parts += _of(outcome)
    return write("soak", "Soak: hours of faults", parts)


def passed(outcome: Outcome) -> bool:
    """Did everything hold?"""
    holds = not any(outcome.judge.violations(what) for what in MUST_NOT_BE)
    return holds and not outcome.problems and all(gauge.verdict() != "NO" for gauge in outcome.gauges)


def _verdict(outcomes: list[Outcome]) -> str:
    rows = ["| | " + " | ".join(outcome.name for outcome in outcomes) + " |", "|---" * (len(outcomes) + 1) + "|"]
    rows += [f"| {what} | " + " | ".join(_counted(o, what) for o in outcomes) + " |" for what in MUST_NOT_BE]
    flat = ("; ".join(f"{g.name}: {g.verdict()}" for g in o.gauges) for o in outcomes)
    rows.append("| memory and descriptors flat | " + " | ".join(flat) + " |")
    lines = {
        "seconds": lambda o: str(o.facts["seconds"]),
        "seed": lambda o: str(o.plan.seed),
        "calibrated, heartbeats a second": lambda o: f"{o.calibrated:,.0f}",
        "load": lambda o: f"{o.users} users, about {o.users * LIMIT / EVERY_SECONDS:,.0f} requests a second",
        "answers with yes": lambda o: f"{o.judge.counts['fed'] + o.judge.counts['degraded']:,}",
        "of them degraded (rule 11)": lambda o: f"{o.judge.counts['degraded']:,}",
        "rosters looked at": lambda o: f"{o.judge.counts['rosters']:,}",
        "sessions that watched": lambda o: f"{len(o.judge.watched):,}",
        "faults": lambda o: str(sum(o.faults.values())),
    }
    rows += [f"| {name} | " + " | ".join(of(o) for o in outcomes) + " |" for name, of in lines.items()]
    return "\n".join(rows)


def _counted(outcome: Outcome, what: str) -> str:
    allowed = sum(found.what == what and bool(found.allowed) for found in outcome.judge.findings)
    return f"{outcome.judge.violations(what)}" + (f" (and {allowed} that a rule allows, below)" if allowed else "")


def _of(outcome: Outcome) -> list[str]:
    judge, crowd = outcome.judge, outcome.crowd
    refusals = Counter({code: n for code, n in judge.counts.items() if code not in ("fed", "degraded", "rosters")})
    facts = dict(outcome.facts) | {"refused, who held no seat for certain": _listed(refusals)}
    facts["how sessions left"] = _listed(crowd.told)
    parts = [f"## {outcome.name}", "\n".join(f"- {name}: {value}" for name, value in facts.items())]
    rows = [
        "| fault | times | requests that nobody answered | longest wait for a yes until the next fault (s) |",
        "|---|---|---|---|",
    ]
    for name in sorted({*outcome.faults, *crowd.waits}):
        longest = max(crowd.waits.get(name, [0.0]))
        rows.append(f"| {name} | {outcome.faults[name] or '–'} | {crowd.unanswered[name]} | {longest:.2f} |")
    parts.append("\n".join(rows))
    names = list(outcome.gauges[0].line())
    gauges = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    gauges += ["| " + " | ".join(gauge.line().values()) + " |" for gauge in outcome.gauges]
    parts.append("\n".join(gauges))
    return parts + _found(outcome)


def _found(outcome: Outcome) -> list[str]:
    parts = []
    allowed = Counter((f.what, f.allowed) for f in outcome.judge.findings if f.allowed)
    if allowed:
        parts.append("Allowed: " + "; ".join(f"{n} × {what} ({why})" for (what, why), n in allowed.items()) + ".")
    wrong = [found for found in outcome.judge.findings if not found.allowed]
    if wrong:
        shown = [f"- {found.what}, after {found.after}: {found.who}" for found in wrong[:SHOWN]]
        parts.append("\n".join([f"**{len(wrong)} findings**", "", *shown]))
    if outcome.problems:
        parts.append("\n".join(["**Faults that could not be made**", "", *(f"- {each}" for each in outcome.problems)]))
    return parts


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items())) or "none"
