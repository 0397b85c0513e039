"""Breakages of what people see and do: operators' names, the console, the viewer's page."""

from tests.mutants.mutant import Mutant

AUTH, KEYS = "streamlimit/web/auth.py", "streamlimit/settings/keys.py"
ACCESS = "streamlimit/bootstrap/access.py"
NAMES = ("tests/web/test_operator_names.py",)
WRONG = ("tests/test_settings.py", "-k", "wrong_setting")

MUTANTS = [
    Mutant(
        "an operator has no name",
        AUTH,
        "return Caller(key.role, name=key.name)",
        'return Caller(key.role, name="operator")',
        NAMES,
    ),
    Mutant("the role read operates", ACCESS, '"read": "reader"', '"read": "operator"', NAMES),
    Mutant("an operator calls themselves viewer", KEYS, "if name == VIEWER:", "if not name:", WRONG),
    Mutant("a name turns the text", KEYS, '[0] == "C"', '[0] == "Q"', WRONG),
]
