"""What `make bench` measures: rows by their names, and peers that do keep the limit (or do not) as the report says."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.edge_rows import read
from bench.kinds import BEAT, HEARTBEAT, WHO, Call, asked
from bench.names import FLOOR, FLOORS, NAIVE, PEER_NEW, peer_of
from bench.programs import is_here
from bench.race import answered, users_over
from bench.report import RESULTS
from bench.rows import SUBJECTS, Subject, chosen
from tests import servers

PEERS = [subject for subject in SUBJECTS if subject.call is BEAT]


def rows(subjects: list[Subject]) -> list[str]:
    return [subject.row(kind) for subject in subjects for kind in subject.asks]


def test_no_two_rows_share_a_name_and_what_others_are_compared_to_is_there() -> None:
    names = rows(SUBJECTS)
    assert len(set(names)) == len(names)
    assert {*FLOORS, *(peer for name in names if (peer := peer_of(name)))} <= set(names)


def test_rows_are_chosen_by_words_with_those_that_they_are_compared_to() -> None:
    assert rows(chosen(["on sqlite, NEW"])) == [
        FLOOR,
        PEER_NEW,
        "streamlimit on SQLite, new",
        "streamlimit, 2 workers on SQLite, new",
    ]
    assert chosen(["nobody"]) == []
    assert chosen([]) == SUBJECTS


@pytest.mark.parametrize("call", [HEARTBEAT, BEAT], ids=["ours", "theirs"])
@pytest.mark.parametrize("kind", WHO)
def test_a_request_as_bytes_is_one_that_a_server_can_read(call: Call, kind: str) -> None:
    raw = asked(call, kind).raw
    assert raw is not None
    head, _, body = raw(7, 1_003).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    user, session = WHO[kind].named(7, 1_003)
    form = json.loads(body)
    assert form["stream_id"] == "aurora"
    assert f"/{user}/sessions/{session}/".encode() in head or (form["user_id"], form["session_id"]) == (user, session)


@pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])
def test_a_peer_seats_three_of_a_user_and_refuses_the_fourth(peer: Subject, tmp_path: Path) -> None:
    """And the next user is none of their business. Who is racy is only seen to be in a race."""
    if missing := [name for name in peer.needs if not is_here(name)]:
        pytest.skip(f"no {missing[0]} here")
    with ExitStack() as stack:
        store = stack.enter_context(servers.single("valkey"))
        server = stack.enter_context(peer.start(tmp_path, f"redis://127.0.0.1:{store.port}/0"))
        answered(server.port, [BEAT.raw("ada", f"s{seat}") for seat in (1, 2, 3, 1, 2, 3)], 200)
        answered(server.port, [BEAT.raw("ada", "s4")], 409)
        answered(server.port, [BEAT.raw("bob", "s4"), BEAT.raw("ada", "s1")], 200)
        if peer.name != NAIVE:
            assert users_over(server.port, BEAT.raw) == 0


def test_the_rows_of_an_edge_are_read_from_its_report() -> None:
    found = read((RESULTS / "edges.md").read_text())
    assert "commit" in found["facts"]
    assert list(found["sizes"]) == ["2 KB", "100 KB", "1 MB"]
    for recipes in found["sizes"].values():
        assert recipes["bare nginx"]["ratio"] == 1
        assert all(figures["nginx_us"] > 0 for figures in recipes.values())
    with pytest.raises(ValueError, match="no size"):
        read("# nothing\n")
