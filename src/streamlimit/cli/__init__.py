"""The `streamlimit` command.

`commands.py` lists the commands with their options, `flags.py` makes a flag of every setting. Each command has a module
of its own, imported when it is called, so that no command loads another one's dependencies.
"""

import io
import sys

from streamlimit.cli.commands import app
from streamlimit.errors import SettingsError, StreamlimitError
from streamlimit.logs import configure_logs

__all__ = ["app", "main"]


def main() -> None:
    """The entry point of the console script. Wrong settings are listed with reasons: exit code 2."""
    configure_logs()  # on standard error: what a command prints is for pipes
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # ids may be in any script, the terminal's encoding not
    try:
        app()
    except StreamlimitError as error:
        for each in (error, *error.others):
            print(f"streamlimit: {each}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
