"""deploy/streamlimit.toml is the one place where operators read the settings: it must tell all, and the truth."""

import re
import tomllib
from pathlib import Path

import pytest

from streamlimit.settings import AdobeSettings, CdnSettings, JwtSettings, Settings

TEXT = (Path(__file__).parent.parent / "deploy/streamlimit.toml").read_text()
SHOWN_AS_COMMENT = re.compile(r"^# (?:\[\[?)?(\w+)(?:\]\]?$| = )", re.MULTILINE)
COMMENTED_TABLE = TEXT[TEXT.index("# [jwt]") :]


def test_every_setting_is_in_the_file_and_nothing_else() -> None:
    told = set(tomllib.loads(TEXT)) | set(SHOWN_AS_COMMENT.findall(TEXT)) - {"url", "secret", "types", "name"}
    told -= {name for table in (JwtSettings, CdnSettings, AdobeSettings) for name in table.model_fields}
    assert told == set(Settings.model_fields)


@pytest.mark.parametrize("name", sorted(tomllib.loads(TEXT)))
def test_the_file_shows_the_default_of(name: str) -> None:
    default = Settings.model_fields[name].default
    assert tomllib.loads(TEXT)[name] == default


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_each_setting_is_explained_right_above_it(name: str) -> None:
    lines = TEXT.splitlines()
    at = next(n for n, line in enumerate(lines) if re.match(rf"(# )?(\[\[?)?{name}\b", line))
    above = lines[at - 1] if not re.match(r"\w+ = ", lines[at - 1]) else lines[at - 2]
    assert above.startswith("# ")


def test_each_setting_has_a_description_for_the_commands_help() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("name", sorted(JwtSettings.model_fields))
def test_the_table_of_tokens_explains_each_of_its_settings(name: str) -> None:
    lines = COMMENTED_TABLE.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(f"# {name} = "))
    assert lines[at - 1].startswith("# # ")
    assert JwtSettings.model_fields[name].description
    default = JwtSettings.model_fields[name].default
    if default is not None:
        assert tomllib.loads(lines[at].removeprefix("# ")) == {name: default}


def test_the_tables_may_be_uncommented_where_they_stand() -> None:
    """A table in the middle would swallow the settings below it."""
    told = re.sub(r"^# (\[\[?\w+\]\]?|(?:url|secret|types|name) = .*)$", r"\1", TEXT, flags=re.MULTILINE)
    read = tomllib.loads(told)
    assert read["callbacks"] == [{"url": "https://example.org/hooks/streamlimit", "secret": "whsec_…",
                                  "types": ["session.expired", "session.terminated"], "name": "billing"}]  # fmt: skip
    assert set(read) > {"allow_private_callbacks", "outbox_max_events"}
