"""Breakages of credentials, names and pages."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant("two dots are an id", "streamlimit/ids.py", "(?!\\.{1,2}$)", "(?!\\.$)", ("tests/test_ids.py",)),
    Mutant(
        "what breaks later, without a task, is never told",
        "streamlimit/web/app.py",
        "        if isinstance(outcome, Exception):\n",
        "        if False:\n",
        ("tests/web/test_failures.py",),
    ),
    Mutant(
        "keys that change clear nothing",
        "streamlimit/web/auth.py",
        "        self._to_forget.append(forget)\n",
        "        pass\n",
        ("tests/web/test_repeated_beats.py", "-k", "taken_back"),
    ),
    Mutant(
        "a key that was taken out of the settings still opens what it did",
        "streamlimit/web/auth.py",
        "self._keys = list(keys)\n        self._forget()",
        "self._keys = list(keys)",
        ("tests/test_reload.py", "-k", "keys_and_plans"),
    ),
    Mutant(
        "a beacon's grant is not looked at",
        "streamlimit/web/calls.py",
        "    if grant is None:",
        "    if True:",
        ("tests/web/test_rights.py", "-k", "beacon or body"),
    ),
    Mutant(
        "another site is handed the key",
        "streamlimit/web/console/page.py",
        'headers.get("sec-fetch-site") == "same-origin"',
        "True",
        (
            "tests/e2e/test_console.py::test_the_page_is_there_without_streams_and_hands_its_key_only_to_a_browser_at_home",
        ),
    ),
    Mutant(
        "who comes by a proxy is at home",
        "streamlimit/web/console/page.py",
        "not any(name in headers for name in HANDED_ON)",
        "True",
        (
            "tests/e2e/test_console.py::test_the_page_is_there_without_streams_and_hands_its_key_only_to_a_browser_at_home",
        ),
    ),
    Mutant(
        "a grant ends another session by a heartbeat",
        "streamlimit/web/heartbeat.py",
        "form.stream_id, form.replace)",
        "form.stream_id, None)",
        ("tests/web/test_heartbeat.py",),
    ),
    Mutant(
        "an end always takes the grant",
        "streamlimit/web/sessions.py",
        "session_id, form.keep_grant)",
        "session_id)",
        ("tests/web/test_rights.py", "-k", "beacon or body"),
    ),
    Mutant(
        "an encoded slash is in an id",
        "streamlimit/web/spelling.py",
        "len(parts) > index and parts[index]",
        "False",
        ("tests/web/test_names.py",),
    ),
    Mutant(
        "a lost seat plays on",
        "streamlimit/web/static/client.js",
        "      this.#video?.pause();\n",
        "",
        ("tests/e2e/test_client.py::test_a_terminated_session_stops_the_player_and_says_who_did_it",),
    ),
    Mutant(
        "a device's name is markup",
        "streamlimit/web/static/dom.js",
        "cell.textContent = text;",
        "cell.innerHTML = text;",
        ("tests/e2e/test_console.py::test_names_full_of_markup_and_turned_text_are_shown_as_text",),
    ),
    Mutant(
        "media is sent twice",
        "streamlimit/web/viewer.py",
        "if takes_seat and not self._hands_out:",
        "if False:",
        ("tests/edge/test_nginx_accel.py", "-k", "following or begins or folder"),
    ),
    Mutant(
        "a segment is given to a grant from anywhere",
        "streamlimit/web/viewer.py",
        "form.replace)\n            caller.require_place(place)\n",
        "form.replace)\n",
        ("tests/web/test_repeated_segments.py", "-k", "bound_to_an_address"),
    ),
    Mutant(
        "a file is given to a grant from anywhere",
        "streamlimit/web/viewer.py",
        "            caller.require_place(place_at(peer))",
        "            pass",
        ("tests/web/test_repeated_segments.py", "-k", "bound_to_an_address"),
    ),
    Mutant(
        "an entry is sent as it is",
        "streamlimit/web/viewer.py",
        "begins = not caller.play and not is_reload",
        "begins = False",
        ("tests/web/test_plays.py",),
    ),
]
