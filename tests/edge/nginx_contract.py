"""What every recipe of nginx promises that delivers by itself. Where it is used there are an `edge` and a `user`."""

from tests.edge.programs import Edge, problem
from tests.streams import BIG


class NginxContract:
    """The same through each recipe."""

    def test_nginx_hands_out_what_streamlimit_allows_and_what_arrived_is_confirmed(self, edge: Edge, user: str) -> None:
        grant = edge.open(user, "s")["grant"]
        playlist = edge.get(f"/play/{grant}/film/index.m3u8")
        assert (playlist.status, playlist.headers["content-type"]) == (200, "application/vnd.apple.mpegurl")
        first = edge.get(f"/play/{grant}/film/0.ts")
        assert (first.status, len(first.body), first.headers["content-type"]) == (200, BIG, "video/mp2t")
        edge.await_state(user, "s", "active")
        ranged = edge.get(f"/play/{grant}/film/1.ts", Range="bytes=0-1", If_None_Match='"x"', If_Modified_Since="x")
        assert (ranged.status, len(ranged.body)) == (206, 2)
        assert edge.get(f"/play/{grant}/film/1.ts", Range=f"bytes={BIG}-").status == 416
        assert edge.call("HEAD", f"/play/{grant}/film/1.ts").status == 200

    def test_the_fourth_is_refused_and_told_why(self, edge: Edge, user: str) -> None:
        grants = [edge.open(user, f"s{number}")["grant"] for number in range(3)]
        edge.service.post(f"/v1/users/{user}/sessions/s0/end", {"grant": grants[0], "keep_grant": True})
        edge.open(user, "s3")
        for path in ("index.m3u8", "0.ts"):
            answer = edge.get(f"/play/{grants[0]}/film/{path}")
            assert (answer.status, problem(answer)["code"], len(problem(answer)["sessions"])) == (
                409,
                "session-limit",
                3,
            )
        assert answer.headers["streamlimit-code"] == "session-limit"
        assert int(answer.headers["retry-after"]) >= 1
        assert edge.get("/play/none/film/0.ts").status == 403

    def test_an_aborted_segment_is_not_confirmed(self, edge: Edge, user: str) -> None:
        grant = edge.open(user, "s")["grant"]
        edge.hang_up(f"/play/{grant}/film/0.ts")
        edge.await_state(user, "s", None)

    def test_forged_headers_and_odd_paths_change_nothing(self, edge: Edge, user: str) -> None:
        grant = edge.open(user, "s")["grant"]
        edge.service.post(f"/v1/users/{user}/sessions/s/end", {"grant": grant})
        other = edge.open(user, "t")["grant"]
        for name in ("X-Original-URI", "X-Forwarded-Uri"):
            answer = edge.get(f"/play/{grant}/film/0.ts", **{name: f"/play/{other}/film/0.ts"})
            assert (answer.status, problem(answer)["code"]) == (403, "unauthenticated")
        for path in (
            f"/play/{grant}/film/x/../0.ts",
            f"/play/{grant}//film/0.ts",
            f"/play/{other}/none/%2e%2e/film/0.ts",
        ):
            assert edge.get(path).status in (403, 404)
        assert edge.get("/_streamlimit").status == 404
        assert edge.get("/edge/auth").status == 404
