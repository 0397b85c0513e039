"""`POST /edge/reports`: what an edge delivered, and whom it need not let in any more."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from streamlimit.edge.reported import Report, latest
from tests.edge.calls import Viewer, auth
from tests.servers import single
from tests.service import OPERATOR_KEY, Answer, Service, started, temporary_folder, wait_until
from tests.web.streams import make_long

SERVICE_KEY = "service-key-of-the-tests"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", "film")
        settings = {"streams": str(streams), "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
        with started(folder, segment_seconds=6, **settings) as service:
            yield service


def report(service: Service, *reports: dict[str, Any], **more: Any) -> Answer:
    return service.post("/edge/reports", list(reports), **more)


def gone(service: Service, *reports: dict[str, Any]) -> list[str]:
    answer = report(service, *reports)
    assert answer.status == 200, answer.body
    assert answer.json.keys() == {"gone"}
    found: list[str] = answer.json["gone"]
    return found


def _seen(viewer: Viewer) -> tuple[str, str, str | None] | None:
    found = viewer.state()
    return None if found is None else (found["state"], found["stream_id"], found["segment"])


def test_a_complete_one_confirms_and_another_gives_the_seat_back(service: Service, user: str) -> None:
    first, second = Viewer(service, user, "s"), Viewer(service, user, "t")
    for viewer in (first, second):
        viewer.ask("1.ts")
    told = gone(
        service,
        {"grant": first.grant, "path": "elsewhere/1.ts", "complete": True, "status": 200, "bytes": 9},
        {"grant": second.grant, "path": "elsewhere/1.ts", "complete": False, "status": 200, "bytes": 3},
    )
    assert told == [second.grant]
    assert _seen(first) == ("active", "elsewhere", "1.ts")
    assert second.state() is None


def test_the_whole_path_names_the_grant(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", "Big Bunny")
    path = f"/play/{viewer.grant}~1f/Big%20Bunny/v/7.ts?x=1"
    service.get("/edge/auth", headers={"X-Original-URI": path})
    assert gone(service, {"path": path, "complete": True}) == []
    assert _seen(viewer) == ("active", "Big Bunny", "v/7.ts")
    beside = f"/Big%20Bunny/v/8.ts?grant={viewer.grant}"
    assert gone(service, {"path": beside, "complete": True}) == []
    assert _seen(viewer) == ("active", "Big Bunny", "v/8.ts")


def test_a_path_may_be_told_as_it_reads(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", "Big Büro (€)")
    for number, path in enumerate(("Big Büro (€)/é 0.ts", "Big%20B%C3%BCro%20(%E2%82%AC)/é%201.ts")):
        assert gone(service, {"grant": viewer.grant, "path": path, "complete": True}) == []
        assert _seen(viewer) == ("active", "Big Büro (€)", f"é {number}.ts")


def test_a_reported_abort_is_not_overridden_by_a_later_request(service: Service, user: str) -> None:
    viewer, other = Viewer(service, user, "s"), Viewer(service, user, "t")
    for one in (viewer, other):
        one.ask("1.ts")
        one.ask("a/1.ts")
    gone(service, {"path": viewer.uri("1.ts"), "complete": False})
    assert _seen(viewer) == ("starting", "elsewhere", None)  # something else is still under way
    viewer.ask("2.ts")
    assert _seen(viewer) == ("starting", "elsewhere", None)
    other.ask("2.ts")
    assert _seen(other) == ("active", "elsewhere", "1.ts")


def test_an_aborted_try_takes_no_seat_from_the_next_one(service: Service, user: str) -> None:
    """A player drops its first connection and tries again at once, or wants another range of the file."""
    viewer = Viewer(service, user, "s")
    aborted = {"path": viewer.uri("1.ts"), "complete": False}
    viewer.ask("1.ts")
    viewer.ask("1.ts", method="HEAD")
    viewer.ask("1.ts")
    assert gone(service, aborted) == []
    assert _seen(viewer) == ("starting", "elsewhere", None)
    viewer.ask("1.ts")
    assert gone(service, aborted) == []
    assert gone(service, aborted) == [viewer.grant]
    assert viewer.state() is None
    viewer.ask("1.ts")
    viewer.ask("1.ts")
    assert gone(service, aborted, {"path": viewer.uri("1.ts"), "complete": True}) == []
    assert _seen(viewer) == ("active", "elsewhere", "1.ts")


def test_an_existing_session_loses_nothing_by_an_abort(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    gone(service, {"path": viewer.uri("1.ts"), "complete": True})
    before = viewer.state()
    viewer.ask("2.ts")
    assert gone(service, {"path": viewer.uri("2.ts"), "complete": False}) == []
    assert viewer.state() == before


@pytest.mark.parametrize("status", [304, 301])
def test_what_is_no_delivery_says_nothing(service: Service, user: str, status: int) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    assert gone(service, {"path": viewer.uri("1.ts"), "complete": True, "status": status}) == []
    assert gone(service, {"path": viewer.uri("1.ts"), "complete": True, "bytes": 0}) == []
    assert gone(service, {"path": viewer.uri("index.m3u8"), "complete": True}) == []
    assert _seen(viewer) == ("starting", "elsewhere", None)
    assert gone(service, {"path": viewer.uri("1.ts"), "complete": True, "status": 404}) == [viewer.grant]
    assert viewer.state() is None


def test_the_same_report_twice_is_one(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    one = {"path": viewer.uri("1.ts"), "complete": True, "at": time.time()}
    assert gone(service, one) == []
    first = viewer.state()
    assert gone(service, one, one) == []
    again = viewer.state()
    assert first is not None
    assert again is not None
    assert {**first, "last_activity_at": 0, "expires_at": 0} == {**again, "last_activity_at": 0, "expires_at": 0}


def test_a_report_without_a_question_before_it_counts_too(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    assert gone(service, {"grant": viewer.grant, "path": "elsewhere/5.ts", "complete": True}) == []
    assert _seen(viewer) == ("active", "elsewhere", "5.ts")
    gone(service, {"grant": viewer.grant, "path": "elsewhere/3.ts", "complete": True})  # late: it moves nothing back
    assert _seen(viewer) == ("active", "elsewhere", "5.ts")


def test_a_report_moves_only_to_a_stream_admitted_after_the_present_one(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", "a")
    viewer.ask("1.ts")
    gone(service, {"path": viewer.uri("1.ts"), "complete": True})
    gone(service, {"path": viewer.uri("1.ts", "b"), "complete": True})  # nobody asked for it
    assert _seen(viewer) == ("active", "a", "1.ts")
    viewer.ask("1.ts", "b")
    viewer.ask("1.ts", "c")
    gone(service, {"path": viewer.uri("1.ts", "c"), "complete": True})
    assert _seen(viewer) == ("active", "c", "1.ts")
    gone(service, {"path": viewer.uri("1.ts", "b"), "complete": True})  # late
    assert _seen(viewer) == ("active", "c", "1.ts")


def test_when_it_was_is_what_counts(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    old = {"path": viewer.uri("1.ts"), "complete": True}
    for at in (time.time() - 18, 0, -1e300, "2001-01-01T00:00:00Z"):
        assert gone(service, old | {"at": at}) == []
        assert _seen(viewer) == ("starting", "elsewhere", None)
    for at in (time.time() + 3_600, 1e306, "9999-12-31T23:59:59Z"):  # the future is now
        assert gone(service, old | {"at": at}) == []
    found = viewer.state()
    assert found is not None
    assert found["state"] == "active"
    assert abs(_seconds(found["last_activity_at"]) - time.time()) < 60
    viewer.ask("2.ts")
    gone(service, {"path": viewer.uri("2.ts"), "complete": True, "at": time.time() - 5})
    after = viewer.state()
    assert after is not None
    assert after["last_activity_at"] >= found["last_activity_at"]  # it never goes back


def test_an_edge_whose_clock_is_behind_tells_of_segments_that_it_did_not_ask_for(service: Service, user: str) -> None:
    viewer, began = Viewer(service, user, "s"), time.time()
    wait_until(lambda: time.time() > began + 0.5, 20, "a session older than the clocks differ")
    viewer.ask("1.ts")
    for name in ("1.ts", "2.ts", "3.ts"):
        assert gone(service, {"path": viewer.uri(name), "complete": True, "at": time.time() - 0.4}) == []
        assert _seen(viewer) == ("active", "elsewhere", name)


def test_a_time_may_be_written_in_any_way_of_rfc_3339(service: Service, user: str) -> None:
    moment = datetime.now(UTC)
    ways = [moment.isoformat(), moment.isoformat(" "), f"{moment:%Y-%m-%dT%H:%M:%S.%f}123Z"]
    ways += [f"{moment:%Y-%m-%dt%H:%M:%S}z", moment.astimezone(timezone(timedelta(hours=-3))).isoformat()]
    for number, at in enumerate(ways):
        viewer = Viewer(service, user, str(number))
        viewer.ask("1.ts")
        assert gone(service, {"path": viewer.uri("1.ts"), "complete": True, "at": at}) == []
        assert _seen(viewer) == ("active", "elsewhere", "1.ts")
        service.call("DELETE", f"/v1/users/{user}/sessions/{number}")


def test_a_whole_url_is_a_whole_path(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    assert gone(service, {"path": f"https://video.example.org{viewer.uri('1.ts')}", "complete": True}) == []
    assert _seen(viewer) == ("active", "elsewhere", "1.ts")


def test_who_is_gone_is_the_session_of_the_path_whatever_grant_stands_beside_it(service: Service, user: str) -> None:
    """A cookie of one session beside the URL of another would else end the wrong one at its edge."""
    stays, leaves = Viewer(service, user, "stays"), Viewer(service, user, "leaves")
    for viewer in (stays, leaves):
        viewer.ask("1.ts")
        gone(service, {"path": viewer.uri("1.ts"), "complete": True})
    service.call("DELETE", f"/v1/users/{user}/sessions/leaves")
    assert gone(service, {"grant": stays.grant, "path": leaves.uri("2.ts"), "complete": True}) == [leaves.grant]
    assert gone(service, {"grant": leaves.grant, "path": stays.uri("2.ts"), "complete": True}) == []
    play = f"{leaves.grant}~1"
    told = {"grant": leaves.grant, "path": f"/play/{play}/elsewhere/2.ts", "complete": True}
    assert gone(service, told) == [leaves.grant]


def test_an_end_is_told(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    service.call("DELETE", f"/v1/users/{user}/sessions/s", key=OPERATOR_KEY)
    one = {"path": viewer.uri("1.ts"), "complete": True}
    assert gone(service, one, one, {"grant": "none", "path": "elsewhere/1.ts", "complete": True}) == [
        viewer.grant,
        "none",
    ]
    assert viewer.state() is None


def test_a_stream_of_ours_is_told_by_its_own_numbers(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", "film")
    viewer.ask("007.ts")
    gone(service, {"path": viewer.uri("007.ts"), "complete": True})
    found = viewer.state()
    assert found is not None
    assert (found["segment"], found["sequence"]) == ("007.ts", 7)
    assert gone(service, {"path": viewer.uri("none.ts"), "complete": True}) == []


@pytest.mark.parametrize(
    "path",
    ["/favicon.ico", "/", "/play/x", "/play/a/b/../c", "x", "/a b/c.ts", "/\u20ac/1.ts", "/a/" + "%FF" * 9_000 + ".ts"],
    ids=lambda path: path[:20],
)
def test_what_else_an_edge_was_asked_for_spoils_no_batch(service: Service, user: str, path: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    odd = {"path": path, "complete": True} | ({} if path.startswith("/") else {"grant": viewer.grant})
    assert gone(service, odd, {"path": viewer.uri("1.ts"), "complete": True}) == []
    assert _seen(viewer) == ("active", "elsewhere", "1.ts")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", None),
        (b"{}", None),
        (b"nothing", None),
        (b"[1]", "[0]"),
        (b'[{"path":"/a/1.ts"}]', "complete"),
        (b'[{"complete":true}]', "path"),
        (b'[{"path":"a/1.ts","complete":true}]', "[0].grant"),
        (b'[{"path":"/a/1.ts","complete":1}]', "[0].complete"),
        (b'[{"path":"/a/1.ts","complete":true,"grant":1}]', "[0].grant"),
        (b'[{"path":"/a/1.ts","complete":true,"more":1}]', "more"),
        (b'[{"path":"/a/1.ts","complete":true,"status":"200"}]', "[0].status"),
        (b'[{"path":"/a/1.ts","complete":true,"status":1e400}]', "[0].status"),
        (b'[{"path":"/a/1.ts","complete":true,"bytes":-1}]', "[0].bytes"),
        (b'[{"path":"/a/1.ts","complete":true,"at":NaN}]', None),
        (b'[{"path":"/a/1.ts","complete":true,"at":1e999}]', "[0].at"),
        (b'[{"path":"/a/1.ts","complete":true,"at":true}]', "[0].at"),
        (b'[{"path":"/a/1.ts","complete":true,"at":"yesterday"}]', "[0].at"),
        (b'[{"path":"/a/1.ts","complete":true,"at":"2026-01-01T00:00:00"}]', "[0].at"),
        (b'[{"path":"/a/1.ts","complete":true,"at":"0001-01-01T00:00:00+23:59"}]', None),
        (b'[{"path":"/a/1.ts","complete":true,"at":' + b"9" * 400 + b"}]", None),
        (b'[{"path":"\xff","complete":true}]', None),
        (b"[" * 10_000, None),
        (json.dumps([{"path": "/a/1.ts", "complete": True}] * 1_001).encode(), None),
    ],
)  # fmt: skip
def test_a_batch_that_makes_no_sense_is_malformed_as_a_whole(
    service: Service, user: str, body: bytes, field: str | None
) -> None:
    answer = service.call("POST", "/edge/reports", body)
    if b"0001-01-01" in body or b"9" * 400 in body:  # a time, however odd
        assert answer.status in (200, 400)
        return
    assert (answer.status, answer.json["code"]) == (400, "malformed")
    if field is not None:
        assert answer.json.get("field") == field or field in answer.json["detail"]


def test_one_wrong_report_makes_none_count(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    good = {"path": viewer.uri("1.ts"), "complete": True}
    assert report(service, good, {"path": "a/1.ts", "complete": True}).status == 400
    assert _seen(viewer) == ("starting", "elsewhere", None)


def test_a_thousand_fit(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    reports = [{"path": viewer.uri(f"{number}.ts"), "complete": True, "at": time.time()} for number in range(1_000)]
    assert len(json.dumps(reports)) > 64 * 1024
    assert gone(service, *reports) == []
    assert _seen(viewer) is not None
    assert service.call("POST", "/edge/reports", b" " * (5 * 1024 * 1024)).status == 413


def test_other_methods_and_bodies_are_none(service: Service) -> None:
    answer = service.get("/edge/reports")
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert service.call("POST", "/edge/reports", b"[]", {"Content-Type": "text/plain"}).status == 415
    assert service.post("/edge/reports/x", []).status == 404


def test_it_is_for_edges_and_for_keys(tmp_path: Path, user: str) -> None:
    with started(tmp_path, ledger_streams="any", service_keys=[SERVICE_KEY]) as service:
        viewer = Viewer(service, user, "s")
        one = {"path": viewer.uri("1.ts"), "complete": True}
        assert report(service, one).status == 401
        assert report(service, one, key="wrong").status == 401
        assert report(service, one, key=viewer.grant).status == 403
        assert _seen(viewer) == ("starting", "elsewhere", None)
        assert [report(service, one, key=key).status for key in (SERVICE_KEY, OPERATOR_KEY)] == [200, 200]
        assert _seen(viewer) == ("active", "elsewhere", "1.ts")


def test_what_an_edge_forwards_is_no_report_of_its_own(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    one = {"path": viewer.uri("1.ts"), "complete": True}
    for client in ("198.51.100.7", "unknown", "unix:", "198.51.100.7, ", "127.0.0.1"):
        answer = report(service, one, headers={"X-Forwarded-For": client})
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert _seen(viewer) == ("starting", "elsewhere", None)


@pytest.mark.parametrize("size", [70_000, 5_000_000])
def test_a_body_is_too_large_for_who_may_report_and_others_are_told_that_they_may_not(
    service: Service, size: int
) -> None:
    body, forwarded = b" " * size, {"X-Forwarded-For": "198.51.100.7"}
    answer = service.post("/edge/reports", body)
    assert answer.status == (413 if size > 4 * 1024 * 1024 else 400)
    assert service.post("/edge/reports", body, headers=forwarded).status == 401
    answer = service.post("/edge/reports", body, headers=forwarded, key=OPERATOR_KEY)
    assert (answer.status, answer.json["code"]) == (
        (413, "too-large") if size > 4 * 1024 * 1024 else (400, "malformed")
    )


def test_a_report_may_reach_another_worker_than_the_question(tmp_path: Path, user: str) -> None:
    with temporary_folder() as other:
        settings = {"store": f"sqlite:///{tmp_path}/one.db", "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
        with started(tmp_path, **settings) as asked, started(other, **settings) as told:
            one, two = Viewer(asked, user, "s"), Viewer(asked, user, "t")
            one.ask("1.ts")
            two.ask("1.ts")
            reports = [{"path": one.uri("1.ts"), "complete": True}, {"path": two.uri("1.ts"), "complete": False}]
            assert gone(told, *reports) == [two.grant]
            assert _seen(one) == ("active", "elsewhere", "1.ts")
            assert two.state() is None


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_worker_that_was_not_asked_counts_what_another_one_let_out(kind: str, tmp_path: Path, user: str) -> None:
    """Another stream is activity there; a new life of the session is that, though the worker knew the old one."""
    with ExitStack() as running:
        store = f"sqlite:///{tmp_path}/one.db" if kind == "sqlite" else running.enter_context(single("redis")).url
        settings = {"store": store, "streams": None, "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
        folders = [running.enter_context(temporary_folder()) for _ in range(2)]
        asked, told = (running.enter_context(started(folder, **settings)) for folder in folders)
        viewer = Viewer(asked, user, "s")
        viewer.ask("1.ts")
        one, other = ({"path": viewer.uri("1.ts", stream), "complete": True} for stream in ("elsewhere", "news"))
        assert gone(told, one) == []
        viewer.ask("1.ts", "news")
        assert gone(told, other) == gone(told, other | {"complete": False}) == []
        assert _seen(viewer) == ("active", "elsewhere", "1.ts")
        viewer.ask("2.ts", "news")
        assert _seen(viewer) == ("active", "news", "1.ts")


def test_a_new_life_of_a_session_is_no_old_one(tmp_path: Path, user: str) -> None:
    """By a file that another worker writes, too."""
    settings = {"store": f"sqlite:///{tmp_path}/one.db", "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
    with temporary_folder() as other, started(tmp_path, **settings) as one, started(other, **settings) as two:
        viewer = Viewer(one, user, "s")
        viewer.ask("1.ts")
        complete = {"path": viewer.uri("1.ts"), "complete": True}
        assert gone(one, complete) == []
        assert two.post(f"/v1/users/{user}/sessions/s/end", {"keep_grant": True}).status == 204
        assert auth(two, viewer.uri("1.ts")).status == 200
        assert _seen(viewer) == ("starting", "elsewhere", None)
        assert gone(one, complete) == []
        assert _seen(viewer) == ("active", "elsewhere", "1.ts")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_the_last_of_a_batch_says_where_the_session_is(service: Service, user: str) -> None:
    """Whichever of them this worker was asked for: those take another way to the store."""
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    gone(service, {"grant": viewer.grant, "path": "elsewhere/1.ts", "complete": True})
    for first in range(2, 20, 6):
        batch = []
        for number in range(first, first + 6):
            batch.append({"path": viewer.uri(f"{number}.ts"), "complete": True, "at": time.time()})
            if number == first + 3:
                viewer.ask(f"{number + 1}.ts")
        assert gone(service, *batch) == []
        assert _seen(viewer) == ("active", "elsewhere", f"{first + 5}.ts")


def test_a_batch_moves_the_session_though_its_edge_asked_for_an_earlier_segment_alone(
    service: Service, user: str
) -> None:
    """Only the last report of a rendition counts, and the edge kept the yes for the first."""
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    assert viewer.ask("2.ts").headers["cache-control"] == "max-age=3"
    assert viewer.ask("3.ts", "other").status == 200
    told = [("elsewhere", 2), ("elsewhere", 4), ("other", 3), ("other", 4), ("other", 5)]
    gone(service, *({"path": viewer.uri(f"{number}.ts", stream), "complete": True} for stream, number in told))
    assert _seen(viewer) == ("active", "other", "5.ts")


def test_of_one_rendition_in_one_batch_the_last_received_one_speaks_for_all() -> None:
    def told(path: str, complete: bool = True) -> Report:
        return Report(f"/play/{path}", complete)

    first, second, aborted = told("a/film/v/1.ts"), told("a/film/v/2.ts"), told("a/film/v/3.ts", False)
    others = [told("b/film/v/1.ts"), told("a/film/a/1.ts"), told("a/news/v/1.ts"), told("a~1/film/v/1.ts")]
    assert latest([first, *others, second, aborted]) == [*others, second, aborted]
    assert latest([aborted, second]) == [second]
    assert latest([told("a/film/v2/seg-1.m4s"), told("a/film/v3/seg-2.m4s")]) == [
        told("a/film/v2/seg-1.m4s"),
        told("a/film/v3/seg-2.m4s"),
    ]
    assert latest([told("a/film/1.mp4"), told("a/film/2.mp4")]) == [told("a/film/2.mp4")]
    assert latest([told('a/film/1.ts?CMCD=bl%3D1,sid="x"'), told("a/film/2.ts?CMCD=bl%3D2")]) == [
        told("a/film/2.ts?CMCD=bl%3D2")
    ]
    named_play = [Report(f"film/play/hd/{n}.ts", True, grant) for n in (1, 2) for grant in ("a", "b")]
    assert latest(named_play) == named_play[2:]
    named_play = [Report(f"/film/play/hd/{n}.ts?grant={grant}", True) for n in (1, 2) for grant in ("a", "b")]
    assert latest(named_play) == named_play[2:]
    by_query = [Report(f"/film/{n}.ts?CMCD=bl%3D{n}&grant={grant}", True) for n in (1, 2) for grant in ("a", "b")]
    assert latest(by_query) == by_query[2:]


def test_a_late_report_in_a_batch_takes_nothing_from_a_newer_one(service: Service, user: str) -> None:
    viewer, now = Viewer(service, user, "s"), time.time()
    viewer.ask("1.ts")
    gone(service, {"path": viewer.uri("1.ts"), "complete": True})
    batch = [("9.ts", now + 2), ("3.ts", now + 1), ("2.ts", now)]
    assert gone(service, *({"path": viewer.uri(name), "complete": True, "at": at} for name, at in batch)) == []
    assert _seen(viewer) == ("active", "elsewhere", "9.ts")


def test_of_one_rendition_in_one_batch_the_newest_received_one_speaks_for_all_before_it() -> None:
    def told(number: int, at_ms: float | None, complete: bool = True) -> Report:
        return Report(f"/play/a/film/{number}.ts", complete, at_ms=at_ms)

    new, late, later = told(9, 9_000), told(3, 3_000), told(2, 2_000)
    assert latest([new, late, later]) == [new, late, later]
    assert latest([later, late, new]) == [new]
    assert latest([late, new, later]) == [new, later]
    now = told(4, None)
    assert latest([now, late]) == [now, late]
    assert latest([new, now]) == [now]
    assert latest([told(9, 9_000, complete=False), now]) == [now]


def test_a_viewer_who_seeks_back_again_and_again_is_one_player(service: Service, user: str) -> None:
    """The edge asks now and then only, and what it tells of holds no address: that is no second one."""
    viewer = Viewer(service, user, "s")
    for start in (1, 1, 2, 1, 3, 1):
        assert viewer.ask(f"{start}.ts").status == 200
        batch = [{"path": viewer.uri(f"{n}.ts"), "complete": True} for n in range(start, start + 6)]
        for each in batch:
            assert gone(service, each) == []
    assert _seen(viewer) is not None


def test_what_was_asked_for_before_a_reported_segment_sets_nobody_back(service: Service, user: str) -> None:
    """An edge that keeps a yes tells of segments that it did not ask for; the next question is not of the old one."""
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    gone(service, {"path": viewer.uri("1.ts"), "complete": True})
    viewer.ask("2.ts")
    gone(service, {"path": viewer.uri("5.ts"), "complete": True})
    viewer.ask("6.ts")
    assert _seen(viewer) == ("active", "elsewhere", "5.ts")
