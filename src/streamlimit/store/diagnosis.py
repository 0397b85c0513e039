"""A store's failure, explained for the operator who has to repair it. Names no host, so that anyone may read it."""

NETWORK: tuple[tuple[str, str], ...] = (
    ("Name or service not known", "the name of its host is not known"),
    ("name resolution", "the name of its host cannot be looked up now"),
    ("No address associated", "the name of its host has no address"),
    ("Connect call failed", "nothing listens there: the connection is refused"),
    ("Connection refused", "nothing listens there: the connection is refused"),
    ("No route to host", "there is no way to its host"),
    ("unreachable", "there is no way to its host"),
)
"""Signs of a server that cannot be reached, in the text of a failure, and what each means."""

MEANINGS: tuple[tuple[str, str], ...] = (
    ("WRONGPASS", "it does not accept the user or the password"),
    ("NOAUTH", "it wants a password: user:password@ in the URL"),
    ("unauthenticated", "it wants a password: user:password@ in the URL"),  # to scripts that are longer than 16 KB
    ("NOPERM", "its user may not do what is needed: allow all commands on the keys streamlimit:*"),
    *NETWORK,
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted: name its authority with ?ca=/path/to/ca.pem"),
    ("Hostname mismatch", "its certificate is for another name"),
    ("CERTIFICATE_REQUIRED", "it wants a client's certificate: ?cert=…&key=… in the URL"),
    ("certificate required", "it wants a client's certificate: ?cert=…&key=… in the URL"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: valkey:// instead of valkeys://"),
    ("RECORD_LAYER_FAILURE", "it does not speak TLS: valkey:// instead of valkeys://"),
    ("cluster support disabled", "it is no cluster: valkey:// instead of valkey+cluster://"),
    ("READONLY", "a read-only replica answers, not the primary"),
    ("MASTERDOWN", "a replica answers that has lost its primary"),
    ("CLUSTERDOWN", "a part of the cluster is down, or not all slots are assigned"),
    ("nobody serves these slots", "a part of the cluster is down, or not all slots are assigned"),
    ("serves no slots", "the cluster was not created yet: no slots are assigned"),
    ("LOADING", "it is still loading its data"),
    ("MISCONF", "it cannot save to its disk, and takes no writes"),
    ("OOM", "its memory is full, and it takes no writes: raise maxmemory"),
    ("know no service", "the sentinels know no primary of that name"),
    ("no such command", "it is too old: Redis 7.0 or any Valkey is needed"),
    ("unknown command", "it is too old, or no Redis or Valkey: Redis 7.0 or any Valkey is needed"),
    ("not the protocol", "what answers is no Redis or Valkey"),
    (
        "ended the connection",
        "it ended the connection: it was stopped or restarted, or something in between",
    ),
    ("closed the connection", "it closes the connection at once: perhaps it wants TLS (valkeys://)"),
    ("onnection reset", "it closes the connection at once: perhaps it wants TLS (valkeys://)"),
    ("connection lost", "it closes the connection at once: perhaps it wants TLS (valkeys://)"),
    ("in time", "it does not answer in time: it hangs, or a firewall is in between"),
    ("locked", "another process holds the file"),
    ("disk is full", "the disk is full"),
    ("No space left", "the disk is full"),
    ("uota exceeded", "the disk is full"),
    ("disk I/O error", "the disk fails, or is full"),
    ("Input/output error", "the disk fails"),
    ("readonly database", "the file may not be written"),
    ("Read-only file system", "the file may not be written"),
    ("malformed", "the file is damaged"),
    ("not a database", "the file is no database"),
    ("deleted or replaced", "its file was deleted or replaced: stop all workers, put it in its place, start them"),
    ("cannot open", "the file cannot be opened"),
)
"""Signs in the text of a failure, and what each means; the first that is found counts."""


def in_words(problem: str) -> str:
    """The meaning of the failure *problem*; general words where it is unknown."""
    return next((words for sign, words in MEANINGS if sign in problem), "it does not answer")
