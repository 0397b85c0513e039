"""Small breakages that no test can notice, since nothing that is promised changes by them: each with the reason.

The named mutants are none of these. A key is the file and the line as it stands broken (or what was left out of it).
"""

PYTHON: dict[str, str] = {}
"""Of `rules/`, as survivors.py compares them with what `mutmut run` left alive."""

LUA: dict[str, str] = {}
"""Of the scripts, as lua.py breaks them."""
