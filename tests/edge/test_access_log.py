"""`edge_log`: what lines of nginx's and HAProxy's access logs say, and that they are listened for."""

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from streamlimit.edge.access_log import report_in
from streamlimit.edge.datagrams import bound
from streamlimit.edge.followed_file import FollowedFile
from streamlimit.errors import SettingsError
from streamlimit.settings import load_settings
from tests import launcher
from tests.edge.calls import Viewer, some_user
from tests.ports import free_port
from tests.service import environment, started, wait_until

NGINX = {
    "request_method": "GET", "request_uri": "/play/G/film/1.ts?x", "status": "200", "request_completion": "OK",
    "body_bytes_sent": "1000", "sent_http_content_length": "1000", "msec": "1764403200.123",
}  # fmt: skip


def line(header: str = "<190>Nov 28 22:43:27 sl: ", separators: tuple[str, str] | None = None, **changed: Any) -> bytes:
    told = {name: value for name, value in (NGINX | changed).items() if value is not None}
    return header.encode() + json.dumps(told, separators=separators).encode()


@pytest.mark.parametrize("header", ["<190>Nov 28 22:43:27 sl: ", "<134>1 2026-11-28T22:43:27Z host sl - - - ", ""])
def test_a_line_is_a_report_whatever_header_syslog_gave_it(header: str) -> None:
    found = report_in(line(header))
    assert found is not None
    assert (found.path, found.complete, found.status, found.bytes) == ("/play/G/film/1.ts?x", True, 200, 1000)
    assert found.at_ms == pytest.approx(1764403200123)
    assert (found.grant, found.is_received, found.is_lost) == (None, True, False)


@pytest.mark.parametrize(
    ("changed", "is_received", "is_lost"),
    [
        ({"request_completion": ""}, False, True),
        ({"body_bytes_sent": "999"}, False, True),
        ({"status": "206", "sent_http_content_length": None}, True, False),
        ({"status": "304", "body_bytes_sent": "0", "sent_http_content_length": ""}, False, False),
        ({"status": "404"}, False, True),
        ({"status": 499, "request_completion": ""}, False, True),
        ({"termination_state": "--", "request_completion": None}, True, False),
        ({"termination_state": "CD", "request_completion": None, "body_bytes_sent": 9_000}, False, True),
        ({"termination_state": "sD", "request_completion": None}, False, True),
        ({"request_completion": None}, False, True),
    ],
)
def test_complete_is_what_all_bytes_of_went_out(changed: dict[str, Any], is_received: bool, is_lost: bool) -> None:
    found = report_in(line(**changed))
    assert found is not None
    assert (found.is_received, found.is_lost) == (is_received, is_lost)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"<190>no json", b"[1]", b'{"a":1}', b'{"request_uri":1}', b"\xff{}", b"{" * 9_000,
        line(request_uri=""), line(request_method="HEAD"), line(request_method="POST"), line(request_uri="http://x"),
        line(request_uri="*"),
    ],
)  # fmt: skip
def test_what_says_nothing_is_passed_over(text: bytes) -> None:
    assert report_in(text) is None


def test_a_whole_url_is_its_path() -> None:
    """So HAProxy logs every request of HTTP/2."""
    for origin in ("https://video.example.org", "http://[::1]:8443", "HTTP://x"):
        found = report_in(line(request_uri=f"{origin}/play/G/film/1.ts?x"))
        assert found is not None
        assert (found.path, found.is_received, found.whose) == ("/play/G/film/1.ts?x", True, "G")


def test_a_query_that_is_no_utf8_spoils_no_line() -> None:
    found = report_in(line().replace(b"1.ts?x", b"1.ts?x=\xff\xc3"))
    assert found is not None
    assert (found.path.partition("?")[0], found.is_received) == ("/play/G/film/1.ts", True)


@pytest.mark.parametrize("odd", ["nan", "1e999", "-1", [], True, None, "", "x" * 100])
def test_odd_numbers_are_none(odd: Any) -> None:
    found = report_in(line(status=odd, body_bytes_sent=odd, msec=odd))
    assert found is not None
    assert (found.status, found.bytes) == (None, None)


CADDY = {
    "ts": 1764403200.123, "request": {"method": "GET", "uri": "/play/G/film/1.ts?x"}, "status": 200, "size": 1000,
    "resp_headers": {"Content-Length": ["1000"]},
}  # fmt: skip
TRAEFIK = {
    "RequestMethod": "GET", "RequestPath": "/play/G/film/1.ts?x", "DownstreamStatus": 200,
    "DownstreamContentSize": 1000, "downstream_Content-Length": "1000",
}  # fmt: skip


@pytest.mark.parametrize(("told", "size"), [(CADDY, "size"), (TRAEFIK, "DownstreamContentSize")])
def test_caddys_and_traefiks_names_are_known(told: dict[str, Any], size: str) -> None:
    found = report_in(json.dumps(told).encode())
    assert found is not None
    assert (found.path, found.status, found.bytes, found.is_received) == ("/play/G/film/1.ts?x", 200, 1000, True)
    short = report_in(json.dumps(told | {size: 999}).encode())
    assert short is not None
    assert (short.is_received, short.is_lost) == (False, True)
    bare = {name: value for name, value in told.items() if "eaders" not in name and "Length" not in name}
    assert report_in(json.dumps(bare).encode()) is None, "without a length nobody knows"
    for odd in ({"request": "x"}, {"resp_headers": {"Content-Length": {}}}, {"RequestPath": 1}):
        report_in(json.dumps(told | odd).encode())


def test_a_file_is_followed_from_its_end_on_over_rotation_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = FollowedFile(str(path))
    assert file.new_lines() == []
    path.write_bytes(b"of an edge that began after us\n")
    assert file.new_lines() == [b"of an edge that began after us"]
    file.close()
    path.write_bytes(b"before us\n")
    file = FollowedFile(str(path))
    assert file.new_lines() == []
    with path.open("ab") as out:
        out.write(b"one\ntw")
        out.flush()
        assert file.new_lines() == [b"one"]
        out.write(b"o\n")
    assert file.new_lines() == [b"two"]
    path.rename(tmp_path / "log.1")
    assert file.new_lines() == []
    with (tmp_path / "log.1").open("ab") as out:
        out.write(b"late\n")
    assert file.new_lines() == [b"late"]
    path.write_bytes(b"in the new one\n")
    assert [line for _ in range(3) for line in file.new_lines()] == [b"in the new one"]
    path.write_bytes(b"cut\n")
    assert [line for _ in range(3) for line in file.new_lines()] == [b"cut"]
    file.close()


def test_of_several_workers_one_follows_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    first, second = FollowedFile(str(path)), FollowedFile(str(path))
    assert first.new_lines() == second.new_lines() == []
    with path.open("ab") as out:
        out.write(b"one\n")
    assert (second.new_lines(), first.new_lines()) == ([], [b"one"])
    first.close()
    assert second.new_lines() == []
    with path.open("ab") as out:
        out.write(b"two\n" + b"x" * 70_000)
    assert second.new_lines() == [b"two"]
    with path.open("ab") as out:
        out.write(b"\nthree\n")
    assert second.new_lines() == [b"", b"three"], "a line without an end is nobody's"
    second.close()


@pytest.mark.parametrize("where", ["unix", "udp"])
def test_lines_are_listened_for(tmp_path: Path, where: str) -> None:
    port = free_port()
    edge_log = f"unix:{tmp_path}/edge.sock" if where == "unix" else f"udp://127.0.0.1:{port}"
    address: Any = f"{tmp_path}/edge.sock" if where == "unix" else ("127.0.0.1", port)
    (tmp_path / "edge.sock").write_text("what an earlier process left")
    settings = {"ledger_streams": "any", "trusted_proxies": ["127.0.0.1"], "edge_log": edge_log, "workers": 2}
    with started(tmp_path, **settings) as service:
        viewer = Viewer(service, some_user(), "s")
        viewer.ask("1.ts")
        kind = socket.AF_UNIX if where == "unix" else socket.AF_INET
        with socket.socket(kind, socket.SOCK_DGRAM) as out:
            out.connect(address)
            out.send(b"nonsense")
            out.send(line(request_uri=viewer.uri("1.ts"), msec=None))
        wait_until(lambda: (viewer.state() or {}).get("state") == "active", 10, "the receipt")


def test_of_a_burst_the_newest_is_counted_even_where_the_worker_ends_before_its_time(tmp_path: Path) -> None:
    """Each X/8 = 3 s one is counted; what waits is counted at the worker's end."""
    settings = {"ledger_streams": "any", "trusted_proxies": ["127.0.0.1"], "edge_log": f"unix:{tmp_path}/edge.sock"}
    same = settings | {"segment_seconds": 24, "store": f"sqlite:///{tmp_path}/one.db"}
    with started(tmp_path, **same) as service, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        viewer = Viewer(service, some_user(), "s")
        viewer.ask("1.ts")
        out.connect(f"{tmp_path}/edge.sock")

        def told(number: int) -> None:
            at = time.time() + 0.01  # rounded, it might else be before the admission, which took a millisecond
            out.send(line(request_uri=viewer.uri(f"{number}.ts"), msec=f"{at:.3f}", separators=(",", ":")))

        told(1)
        wait_until(lambda: (viewer.state() or {}).get("state") == "active", 10, "the receipt")
        for number in range(2, 7):
            told(number)
    with started(tmp_path, **same) as again:
        assert again.watching(viewer.user)["sessions"][0]["segment"] == "6.ts"


def test_of_several_one_listens(tmp_path: Path) -> None:
    for where in (f"unix:{tmp_path}/x", f"udp://127.0.0.1:{free_port()}"):
        first = bound(where)
        assert first is not None
        assert bound(where) is None
        first.close()
        second = bound(where)
        assert second is not None
        second.close()


WRONG_PLACES = [
    "/run/x",
    "unix:x",
    "unix:/" + "x" * 110,
    "udp://host",
    "udp://h:0",
    "tcp://h:1",
    "file:x",
    "file:/",
]


@pytest.mark.parametrize("where", WRONG_PLACES)
def test_where_is_a_socket_or_a_file(where: str) -> None:
    with pytest.raises(SettingsError, match="edge_log"):
        load_settings(edge_log=where)


@pytest.mark.parametrize("where", ["unix:{}/none/edge.sock", "unix:{}", "file:{}", "udp://192.0.2.1:5140"])
@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_a_place_where_nothing_can_be_listened_for_stops_the_start(where: str, command: str, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    settings = {"listen": f"127.0.0.1:{free_port()}", "store": f"sqlite:///{tmp_path}/one.db"}
    edge_log = where.format(folder)
    code, _, said = launcher.run([command], tmp_path, environment(settings | {"edge_log": edge_log}))
    assert code == 2
    assert f"edge_log: {edge_log}: " in said
    assert [*folder.parent.glob("logs*")] == [folder]


def test_a_place_that_a_running_service_listens_at_is_fine(tmp_path: Path) -> None:
    for edge_log in (f"udp://127.0.0.1:{free_port()}", f"unix:{tmp_path}/edge.sock"):
        with started(tmp_path, edge_log=edge_log):
            settings = {"store": f"sqlite:///{tmp_path}/one.db", "edge_log": edge_log}
            assert launcher.run(["check-config"], tmp_path, environment(settings))[0] == 0
