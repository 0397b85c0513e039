"""`streamlimit keys new`: a key that works, and a line for the settings that does not tell it."""

import re
import tomllib
from pathlib import Path

import pytest

from tests import launcher
from tests.service import started


def _new(*words: str) -> tuple[str, dict[str, list[str]]]:
    code, out, err = launcher.run(["keys", "new", *words], Path.cwd())
    assert code == 0, err
    key, line = out.splitlines()
    return key.rpartition(" ")[2], tomllib.loads(line)


@pytest.mark.parametrize(
    ("words", "setting", "prefix"),
    [
        ((), "operator_keys", "operate-"),
        (("--role", "operate"), "operator_keys", "operate-"),
        (("--role", "read"), "operator_read_keys", "read-"),
        (("--role", "service"), "service_keys", "service-"),
    ],
)
def test_a_new_key(words: tuple[str, ...], setting: str, prefix: str) -> None:
    key, line = _new(*words)
    assert key.startswith(prefix)
    assert len(key) > 40
    assert list(line) == [setting]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", line[setting][0])
    assert key not in str(line)
    assert _new(*words)[0] != key


@pytest.mark.parametrize("role", ["operate", "read"])
def test_a_new_key_for_somebody(role: str) -> None:
    key, line = _new("--role", role, "--name", 'Anna "A." O’Hara')
    (entry,) = line["operator_keys"]
    assert isinstance(entry, dict)
    assert (entry["name"], entry["role"], len(entry["hash"])) == ('Anna "A." O’Hara', role, 71)
    assert key not in str(line)


@pytest.mark.parametrize(
    "words", [("--role", "service", "--name", "anna"), ("--name", "viewer"), ("--name", ""), ("--name", "a" * 61)]
)
def test_a_name_that_cannot_be_one_is_refused(words: tuple[str, ...]) -> None:
    code, out, err = launcher.run(["keys", "new", *words], Path.cwd())
    assert (code, out) == (2, "")
    assert "--name" in err


def test_the_line_in_the_settings_lets_the_key_in(tmp_path: Path) -> None:
    key, line = _new("--role", "read")
    with started(tmp_path, **line) as service:
        assert service.get("/v1/stats", key=key).status == 200
        assert service.post("/v1/expirations", key=key).status == 403
        assert key not in service.log()
        assert "1 read keys" in service.log()


def test_a_role_that_is_none_is_refused() -> None:
    assert launcher.run(["keys", "new", "--role", "root"], Path.cwd())[0] == 2
