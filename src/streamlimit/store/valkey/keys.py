"""The names of all keys in the server. `streamlimit` below is the prefix that the operator chose.

    streamlimit:{017}:2:alice     string      the ledger of user alice (ledger.lua says how it is packed)
    streamlimit:{017}:grants:alice string     her grants that were ended (grants.lua), with a time to live
    streamlimit:{017}:limits      hash        the shard's users with a limit of their own (ledger.lua)
    streamlimit:{017}:due         sorted set  the shard's users by the earliest time anything of theirs lapses
    streamlimit:{017}:outbox      list        the shard's events for webhooks that are not sorted yet, oldest first
    streamlimit:{017}:sorted      number      of the last event that was sorted
    streamlimit:{017}:queues:hook …           seven keys for the deliveries to endpoint `hook` (deliveries.lua)
    streamlimit:{017}:refused:alice/tv string until when no event is made of a refusal of that session
    streamlimit:{017}:history:alice sorted set her last events by their time (feed.py), with a time to live
    streamlimit:{017}:told:alice/tv string    until when no refusal of that session goes to the feed
    streamlimit:{017}:ready       string      written to see whether the shard's server takes a write; lasts a minute
    streamlimit:{311}:report:hour:1764540000000:plan      hash    one bucket of the reports, by plan (report.lua)
    streamlimit:{311}:report:hour:1764540000000:plan:u:hd string  a sketch of the different users of the plan hd in it
    streamlimit:{000}:reports     sorted set  buckets that still take users, by when they end
    streamlimit:{000}:sampled     number      when live sessions were counted for the reports
    streamlimit:{000}:feed        stream      the last events of all users
    streamlimit:{000}:endpoints   set         endpoints with deliveries
    streamlimit:{000}:disabled    hash        endpoints that want no more -> why
    streamlimit:{000}:secret:a    string      the secret of the name a, the same for all workers

`{017}` is the shard, the crc of the user modulo 1,024, and a *hash tag*: Cluster places a key by what stands in
braces, so all that one script changes (a ledger, the index, the outbox) lies on one node. A tag per
user could not do that for the index and the outbox; one tag for all would leave the other nodes idle.
1,024 spread evenly over any number of nodes, and an empty sweep still asks only so many questions. A bucket of the
reports lies in a shard by its name.

`2` is the format of a ledger. A release that packs them otherwise counts it up and starts with empty
ledgers: within n·X everyone who watches is seated anew, and no script has to read two formats.
"""

from binascii import crc_hqx
from itertools import groupby
from operator import itemgetter
from zlib import crc32

SHARDS = 1_024
LEAST_ROOM = 16
FORMAT = 2


def shard_of(user_id: str) -> int:
    """The shard that holds the user; the same in every process of every release."""
    return crc32(user_id.encode()) % SHARDS


def room_of_outbox(most: int) -> int:
    """How many events of a shard may wait to be sorted, where endpoints may have *most* over all shards.

    A shard's share has a least size: the events of one household come at the same time.
    """
    return max(-(-most // SHARDS), LEAST_ROOM)


def room_of_endpoint(most: int) -> int:
    """How many deliveries to one endpoint a shard holds."""
    return min(most, room_of_outbox(most))


def tag(shard: int) -> str:
    """The hash tag of a shard; three digits or four, it never changes."""
    return f"{{{shard:03d}}}"


SLOTS: tuple[int, ...] = tuple(crc_hqx(tag(shard)[1:-1].encode(), 0) % 16_384 for shard in range(SHARDS))
"""The cluster slot of each shard (of all its keys: only the tag counts): CRC-16/XMODEM, as the cluster
specification says (valkey.io/topics/cluster-spec)."""


SHARDS_OF: dict[int, tuple[int, ...]] = {
    slot: tuple(shard for shard, _ in found)
    for slot, found in groupby(sorted(enumerate(SLOTS), key=itemgetter(1)), key=itemgetter(1))
}
"""The shards of each slot that has any: one, of few slots two or three."""


class Keys:
    """The keys under one prefix. The shards' fixed parts are made once; a ledger's key costs a concatenation."""

    def __init__(self, prefix: str) -> None:
        if "{" in prefix or "}" in prefix:
            raise ValueError("the prefix must not hold braces: they would become the hash tag")
        self._shards = shards = [f"{prefix}:{tag(shard)}:" for shard in range(SHARDS)]
        self.ledgers = [f"{shard}{FORMAT}:".encode() for shard in shards]
        """The prefix of ledgers' keys by shard; the user follows."""
        self.due = [f"{shard}due".encode() for shard in shards]
        self.limits = [f"{shard}limits".encode() for shard in shards]
        self.outbox = [f"{shard}outbox".encode() for shard in shards]
        alone = ("reports", "sampled", "feed", "endpoints", "disabled")
        self.reports, self.sampled, self.feed, self.endpoints, self.disabled = (self.of(0, name) for name in alone)

    def ledger(self, shard: int, user: bytes) -> bytes:
        """The key of a user's ledger."""
        return self.ledgers[shard] + user

    def of(self, shard: int, *parts: str) -> bytes:
        """Any other key of a shard."""
        return (self._shards[shard] + ":".join(parts)).encode()
