"""Three layouts of a user's ledger on a real server: bytes a session and microseconds a call.

    python -m bench.valkey_layout [redis|valkey] [SESSIONS]

*packed* is the store's own scripts (ledger.lua). *cmsgpack* keeps the whole ledger as one MessagePack value, *hash*
one hash a user with a MessagePack value a session; their scripts do what the quick ways do and no more (clock,
expiry, limit, index; no marks, caps, sharing), so they are measured kindly. Server CPU is the process's own (INFO
cpu), pipelined. Prints a table.
"""

import random
import sys
from collections.abc import Iterator
from uuid import UUID

from valkey import Valkey

from streamlimit.model import Ask, Lease, Receipt
from streamlimit.policy import Policy
from streamlimit.store.valkey.codec import pack_policy
from streamlimit.store.valkey.keys import Keys, shard_of
from streamlimit.store.valkey.messages import Messages
from streamlimit.store.valkey.scripts import SCRIPTS
from tests import servers

POLICY = Policy(segment_ms=600_000, start_ms=600_000)
PIPELINE = 128
NO_DEADLINE = "9999999999999"
"""Milliseconds: the last argument of a script, here never in the past."""

TIME = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
ADMIT_FIELDS = """{id=ARGV[1], stream=ARGV[2], device=ARGV[3], expires=now+600000, last=0, sequence=0, ahead=0,
  placed=0, move=0, generation=now, started=now, segment='', positions={}, left={}, returns={}, leases={ARGV[4]},
  revives=0}"""
CONFIRM_FIELDS = """seat.expires, seat.last, seat.sequence, seat.segment =
  now + 1800000, now, tonumber(ARGV[3]), ARGV[2]
  seat.leases, seat.positions = {}, {v={seat.sequence, ARGV[4]}}"""
FILE = (
    "if redis.call('ZSCORE', KEYS[2], ARGV[5]) == false then redis.call('ZADD', KEYS[2], now + 600000, ARGV[5]) end\n"
)

CMSGPACK_ADMIT = f"""{TIME}local raw = redis.call('GET', KEYS[1]) local seats = raw and cmsgpack.unpack(raw) or {{}}
local live = 0 for _, seat in ipairs(seats) do if seat.expires > now then live = live + 1 end end
if live >= 3 then return 0 end
seats[#seats + 1] = {ADMIT_FIELDS}
{FILE}redis.call('SET', KEYS[1], cmsgpack.pack(seats)) return {{now, live}}"""
CMSGPACK_CONFIRM = f"""{TIME}local seats, live, found = cmsgpack.unpack(redis.call('GET', KEYS[1])), 0, nil
for _, seat in ipairs(seats) do
  if seat.expires > now then live = live + 1 end
  if seat.id == ARGV[1] then {CONFIRM_FIELDS} found = seat end
end
redis.call('SET', KEYS[1], cmsgpack.pack(seats)) return {{now, live, found.expires, found.device}}"""
HASH_ADMIT = f"""{TIME}local all, live = redis.call('HVALS', KEYS[1]), 0
for _, raw in ipairs(all) do if cmsgpack.unpack(raw).expires > now then live = live + 1 end end
if live >= 3 then return 0 end
{FILE}redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack({ADMIT_FIELDS})) return {{now, live}}"""
HASH_CONFIRM = f"""{TIME}local live, found = 0, nil
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local seat = cmsgpack.unpack(all[i + 1])
  if seat.expires > now then live = live + 1 end
  if all[i] == ARGV[1] then
    {CONFIRM_FIELDS}
    found = seat
  end
end
redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(found)) return {{now, live, found.expires, found.device}}"""


class Cast:
    """The same users, three sessions each, for every layout; all ids are UUIDs of 36 characters."""

    def __init__(self, sessions: int) -> None:
        dice = random.Random(7)
        streams = [self._id(dice) for _ in range(200)]
        self.asks = [
            Ask(
                user, self._id(dice), dice.choice(streams), lease_id=self._id(dice), device="living-room-tv", client="c"
            )
            for user in (self._id(dice) for _ in range(sessions // 3))
            for _ in range(3)
        ]
        self.some = [dice.choice(self.asks) for _ in range(60_000)]

    def _id(self, dice: random.Random) -> str:
        return str(UUID(int=dice.getrandbits(128), version=4))


class Server:
    """Runs commands in pipelines and reads the meters."""

    def __init__(self, client: "Valkey[bytes]") -> None:
        self.client = client

    def cost_us(self, commands: Iterator[tuple[object, ...]]) -> tuple[float, list[object]]:
        """Server CPU a command, and the answers."""
        before, answers, batch = self.cpu_seconds(), [], self.client.pipeline(transaction=False)
        for command in commands:
            batch.execute_command(*command)
            if len(batch.command_stack) == PIPELINE:
                answers += batch.execute()
        answers += batch.execute()
        return (self.cpu_seconds() - before) / len(answers) * 1e6, answers

    def bytes(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    def cpu_seconds(self) -> float:
        meters = self.client.info("cpu")
        return float(meters["used_cpu_user"] + meters["used_cpu_sys"])


def packed(server: Server, cast: Cast) -> tuple[float, float]:
    keys, policy, messages = Keys("streamlimit"), pack_policy(POLICY, frozenset(), 1), Messages(POLICY)
    shas = {name: server.client.script_load(SCRIPTS[name].body) for name in ("admit", "confirm")}

    def command(name: str, ask: Ask, message: bytes) -> tuple[object, ...]:
        shard = shard_of(ask.user_id)
        ledger = keys.ledger(shard, ask.user_id.encode())
        return ("EVALSHA", shas[name], 2, ledger, keys.due[shard], policy, message, NO_DEADLINE)

    def receipt(ask: Ask, sequence: int) -> bytes:
        lease = Lease(ask, generations[ask.session_id], 0)
        return messages.receipt(Receipt(lease, f"video-180p/seg-{sequence:05}.m4s", sequence))

    admit_us, answers = server.cost_us(command("admit", ask, messages.ask(ask)) for ask in cast.asks)
    generations = {a.session_id: _generation(r) for a, r in zip(cast.asks, answers, strict=True)}
    server.cost_us(command("confirm", ask, receipt(ask, 7)) for ask in cast.asks)
    confirm_us, _ = server.cost_us(command("confirm", ask, receipt(ask, 8)) for ask in cast.some)
    return admit_us, confirm_us


def _generation(reply: object) -> int:
    """The admission's time is the new session's generation."""
    assert isinstance(reply, bytes)
    return int.from_bytes(reply[2:8], "little")


def other(admit: str, confirm: str, server: Server, cast: Cast) -> tuple[float, float]:
    keys = Keys("streamlimit")
    admit_sha, confirm_sha = server.client.script_load(admit), server.client.script_load(confirm)

    def command(sha: str, ask: Ask, *arguments: object) -> tuple[object, ...]:
        shard = shard_of(ask.user_id)
        return ("EVALSHA", sha, 2, keys.ledger(shard, ask.user_id.encode()), keys.due[shard], *arguments)

    def confirmed(asks: list[Ask], sequence: int) -> float:
        segment = f"video-180p/seg-{sequence:05}.m4s"
        return server.cost_us(command(confirm_sha, a, a.session_id, segment, sequence, 12345) for a in asks)[0]

    admit_us, _ = server.cost_us(
        command(admit_sha, a, a.session_id, a.stream_id, a.device, a.lease_id, a.user_id) for a in cast.asks
    )
    confirmed(cast.asks, 7)
    return admit_us, confirmed(cast.some, 8)


def main(kind: str, sessions: int) -> None:
    cast = Cast(sessions)
    layouts = {
        "packed": packed,
        "cmsgpack": lambda server, cast: other(CMSGPACK_ADMIT, CMSGPACK_CONFIRM, server, cast),
        "hash": lambda server, cast: other(HASH_ADMIT, HASH_CONFIRM, server, cast),
    }
    print(
        f"| {kind}, {sessions:,} sessions | bytes a session | µs an admission | µs a confirmation |\n|---|---|---|---|"
    )
    for name, run in layouts.items():
        with servers.single(kind) as running:
            server = Server(running.client)
            before = server.bytes()
            admit_us, confirm_us = run(server, cast)
            taken = (server.bytes() - before) / len(cast.asks)
            print(f"| {name} | {taken:.0f} | {admit_us:.1f} | {confirm_us:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "redis", int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
