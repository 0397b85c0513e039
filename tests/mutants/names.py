"""Breakages of ids and names: what may be one, how it is spelled in URLs, headers, paths and keys."""

# ruff: noqa: E501  (a table)

from tests.mutants.mutant import Mutant

IDS, FORMS, SPELLING = "streamlimit/ids.py", "streamlimit/web/forms.py", "streamlimit/web/spelling.py"
PATHS, LONG_IDS = "streamlimit/delivery/paths.py", "streamlimit/store/valkey/long_ids.py"
ID_TESTS, PATH_TESTS = ("tests/test_ids.py",), ("tests/delivery/test_paths.py",)
ADDRESSES, ADDRESS_TESTS = "streamlimit/webhooks/addresses.py", ("tests/webhooks/test_addresses.py",)
COMMANDS = ("tests/test_cli.py",)
NAMES = ("tests/web/test_names.py",)

MUTANTS = [
    Mutant("three ids may be four lines", FORMS, "{_PLAIN_ID}){{2}}", "{_PLAIN_ID}){{2,}}", ID_TESTS),
    Mutant("the quick way to read a form takes any id", FORMS, "_are_plain_ids(f", "str(f", ID_TESTS),
    Mutant("two dots are an id", IDS, r"(?!\.{1,2}$)", r"(?!\.$)", ID_TESTS),
    Mutant("an id takes any number of bytes", IDS, "MAX_BYTES = 128, 256", "MAX_BYTES = 128, 512", ID_TESTS),
    Mutant("an id of 256 bytes loses one", LONG_IDS, "TOO_LONG, SHORTENED = 256, 8", "TOO_LONG, SHORTENED = 256, 7", ID_TESTS),
    Mutant(
        "ids of other bytes are the same where they are no UTF-8",
        SPELLING,
        "unquote_to_bytes(part).decode()",
        'unquote_to_bytes(part).decode(errors="replace")',
        ("tests/web/test_errors.py", "-k", "bad_id"),
    ),
    Mutant("a percent sign in a name is left as it is", SPELLING, '"~:@!$&', '"%~:@!$&', NAMES),
    Mutant("an encoded slash is in an id", SPELLING, "len(parts) > index and parts[index]", "False", NAMES),
    Mutant("a URI leaves the stream by a backslash", PATHS, '"/", path) if', '"/", path).replace("../", "") if', PATH_TESTS),
    Mutant("two slashes are not one", PATHS, 'if "//" in path or', 'if "\\0" in path or', (*NAMES, "-k", "file_systems")),
    Mutant("a name that is no UTF-8 is another", PATHS, "unquote_to_bytes(joined).decode()", 'unquote_to_bytes(joined).decode(errors="replace")', PATH_TESTS),
    Mutant("IPv6 that nobody was given is called", ADDRESSES, "address in UNICAST and", "", ADDRESS_TESTS),
    Mutant("a spelling that only the system reads is a name", ADDRESSES, "IPv4Address(socket.inet_aton(host))", "IPv4Address(host)", ADDRESS_TESTS),
    Mutant("who looks makes a store", "streamlimit/cli/limiter.py", "    require_store(settings)\n", "", (*COMMANDS, "-k", "no_store")),
    Mutant("an end of nobody is fine", "streamlimit/cli/sessions.py", "raise SystemExit(1)", "pass", (*COMMANDS, "-k", "end_terminates")),
    Mutant("check-config leaves a store behind", "streamlimit/bootstrap/store.py", "path is None or _is_made(str(path))", "True", (*COMMANDS, "-k", "leaves_nothing")),
    Mutant("any name is guessed at", "streamlimit/settings/load.py", "1, 0.75)", "1, 0.1)", ("tests/test_settings.py", "-k", "guess")),
    Mutant("a forged cursor breaks the store", "streamlimit/store/valkey/walks.py", "shard.isascii() and shard.isdecimal() and ", "", ("tests/store/test_valkey.py", "-k", "forged and OnRedis")),
    Mutant("an unknown plan is taken", "streamlimit/web/auth.py", "if plan not in self._plans:\n            raise", "if plan not in self._plans and not plan:\n            raise", ("tests/web/test_plans.py", "-k", "mistake")),
]  # fmt: skip
