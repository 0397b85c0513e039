"""`python -m streamlimit` is the `streamlimit` command."""

from streamlimit.cli import main

main()
