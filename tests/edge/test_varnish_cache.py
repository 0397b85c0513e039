"""What Varnish keeps by deploy/varnish/streamlimit.vcl of an origin that says nothing about keeping."""

from collections.abc import Iterator

import pytest

from tests.edge.programs import paused
from tests.edge.recipes import Recipes, opened
from tests.service import OPERATOR_KEY, wait_until


@pytest.fixture(scope="module")
def recipes() -> Iterator[Recipes]:
    with opened({"film": 9}, {"film": 3_000}) as recipes:
        yield recipes


def test_who_asks_for_a_segment_too_early_keeps_it_from_nobody(recipes: Recipes, user: str) -> None:
    edge = recipes.edge("varnish")
    grant = edge.open(user, "s")["grant"]
    assert edge.get(f"/play/{grant}/film/99.ts").status == 404
    (recipes.folder / "streams/film/99.ts").write_bytes(b"it is there")
    wait_until(lambda: edge.get(f"/play/{grant}/film/99.ts").body == b"it is there", 30, "the segment")


def test_a_live_playlist_goes_on_though_its_origin_does_not_say_that_it_is_one(recipes: Recipes, user: str) -> None:
    edge = recipes.edge("varnish")
    grant, file = edge.open(user, "s")["grant"], recipes.folder / "streams/film/live.m3u8"
    for text in ("#EXTM3U\n", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:1\n"):
        file.write_text(text)
        wait_until(
            lambda text=text: edge.get(f"/play/{grant}/film/live.m3u8").body == text.encode(), 30, "the playlist"
        )


def test_who_was_sent_away_does_not_come_back_by_another_pages_yes(user: str) -> None:
    """Where pages of named origins play, all answers of streamlimit vary by `Origin`, which a viewer may choose."""
    with opened({"film": 9}, {"film": 3_000}, cors_origins=["https://a.example"]) as recipes:
        edge = recipes.edge("varnish")
        grant = edge.open(user, "s")["grant"]
        for number in range(4):
            for origin in ("https://a.example", "https://b.example"):
                assert edge.get(f"/play/{grant}/film/{number}.ts", Origin=origin).status == 200
        with paused(recipes.service):
            assert edge.get(f"/play/{grant}/film/4.ts", Origin="https://c.example").status == 200
        recipes.service.call("DELETE", f"/v1/users/{user}/sessions/s", key=OPERATOR_KEY)
        assert edge.get(f"/play/{grant}/film/4.ts", Origin="https://a.example").status == 410
        with paused(recipes.service):
            assert edge.get(f"/play/{grant}/film/4.ts", Origin="https://b.example").status == 410


def test_a_file_called_as_the_question_is_a_file(recipes: Recipes, user: str) -> None:
    edge = recipes.edge("varnish")
    folder = recipes.folder / "streams/edge"
    folder.mkdir(exist_ok=True)
    (folder / "auth").write_bytes(b"a segment")
    grant = edge.open(user, "s", "edge")["grant"]
    assert edge.get(f"/play/{grant}/edge/auth").body == b"a segment"
    assert edge.get(f"/play/{grant}/edge/auth?").body == b"a segment"
