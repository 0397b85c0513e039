"""A ledger as bytes: MessagePack with seats as arrays, half as long as with field names.

A decoded ledger is shared with no other caller: a rule may change it.
"""

import msgspec

from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger

decode = msgspec.msgpack.Decoder(Ledger).decode
decode_grants = msgspec.msgpack.Decoder(Grants).decode
encode = msgspec.msgpack.Encoder().encode
