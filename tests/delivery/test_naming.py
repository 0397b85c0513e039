"""The interpretation of files by their names alone."""

import pytest

from streamlimit.delivery.naming import is_free, place_of


@pytest.mark.parametrize(
    "path",
    [
        "index.m3u8", "a/b.MPD", "init.mp4", "INIT.MP4", "init-stream0.m4s", "video/init_1.m4s", "x_init.mp4",
        "dashinit.mp4", "v1/video_1init.cmfv", "a.m4i", "key.key", "de.vtt", "poster.jpg", "sprite.webp", "x.json",
        "a.m3u8?b.m3u8", "100%.jpg",
    ],
)  # fmt: skip
def test_what_is_free_is_known_by_its_ending(path: str) -> None:
    assert is_free(path)


@pytest.mark.parametrize(
    "path",
    [
        "1.ts", "seg1.m4s", "film.mp4", "a", "a.unknown", "initial.mp4", "initiative-4.m4s", "init.ts", "a.m3u8/1.ts",
        "init.mp4/1.ts", "1.ts;.m3u8", "1.ts;a.jpg", "1.jpg.ts", "finite1.m4s", "1.ts.", "1.m3u8 ",
        "1.ts?a.m3u8", "1.ts#.jpg", "1.ts%3Fa.m3u8", "1.ts%23a.jpg", "1.ts%3ba.jpg", "1?.jpg",
    ],
)  # fmt: skip
def test_all_else_is_a_segment(path: str) -> None:
    assert not is_free(path)


@pytest.mark.parametrize(
    ("path", "rendition", "number"),
    [
        ("v/seg00012.ts", "v/seg.ts", 12),
        ("v1080/seg-7.m4s", "v1080/seg-.m4s", 7),
        ("v/12.mp4", "v/.mp4", 12),
        ("chunk-stream0-00003.m4s", "chunk-stream0-.m4s", 3),
        ("a5/b9/part", "a5/b/part", 9),
        ("a/segment.12", "a/segment.", 12),
        ("film.mp4", "film.mp4", None),
        ("٣.ts", "٣.ts", None),
        ("seg-1764403200123.ts", "seg-.ts", 764403200123),
    ],
)
def test_the_last_run_of_digits_is_the_number_and_the_rest_the_rendition(
    path: str, rendition: str, number: int | None
) -> None:
    place = place_of(path)
    assert (place.rendition, place.sequence, place.name) == (rendition, number, path)


def test_a_number_of_any_length_is_one() -> None:
    assert place_of("9" * 1_000 + ".ts").sequence == 999_999_999_999


def test_later_is_said_of_one_rendition() -> None:
    first, second = place_of("a/1.ts"), place_of("a/2.ts")
    assert second.is_after(first)
    assert not first.is_after(second)
    assert not first.is_after(first)
    assert not place_of("b/2.ts").is_after(first)
    assert not place_of("film.mp4").is_after(place_of("film.mp4"))


def test_the_kind_is_the_suffixs() -> None:
    assert [place_of(path).kind for path in ("1.m4a", "1.ts", "1.vtt")] == ["audio", "video", "text"]
