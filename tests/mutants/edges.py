"""Breakages of edges: streams whose files are elsewhere, and what others deliver."""

from tests.mutants.mutant import Mutant

NAMING, KNOWN, SESSIONS = (
    "streamlimit/delivery/naming.py",
    "streamlimit/delivery/known.py",
    "streamlimit/web/sessions.py",
)
NAMES, ANY = ("tests/delivery/test_naming.py",), ("tests/web/test_any_stream.py",)

MUTANTS = [
    Mutant(
        "digits of a suffix are a number", NAMING, "stem = path if suffix[1:].isdigit() else", "stem = path or", NAMES
    ),
    Mutant("a parameter makes a segment free", NAMING, " and (before == path or _is_free(before))", "", NAMES),
    Mutant("initial is init", NAMING, "init(?![a-z])", "init", NAMES),
    Mutant("a number has no end", NAMING, "digits[0][-NUMBER_DIGITS:]", "digits[0]", NAMES),
    Mutant(
        "any stream hides the catalog's",
        KNOWN,
        "if self._catalog is not None:\n            try",
        "if self._catalog is not None and not self._any:\n            try",
        ANY,
    ),
    Mutant("playback URLs stay relative", SESSIONS, '(service.settings.public_url or "") + path', "path", ANY),
]
