"""`python -m streamlimit.cli` is the `streamlimit` command."""

from streamlimit.cli import main

main()
