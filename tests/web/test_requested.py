"""The answer to a playback URL is cached for files of finished streams, and made anew when these change."""

from pathlib import Path

import pytest

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.local import LocalFiles
from streamlimit.web.requested import PLAIN, Conditions, Requested, requested_of

NAMES = ("one.ts", "two.ts")
END = "#EXT-X-ENDLIST\n"


class Films:
    """A folder with one stream, read anew whenever its playlist is written."""

    def __init__(self, root: Path) -> None:
        self._folder, self._catalog, self._files = root / "film", Catalog(root), LocalFiles()
        self._folder.mkdir()
        for name in NAMES:
            (self._folder / name).write_bytes(b"\x47" * 188)

    def write(self, *names: str, end: str = END) -> None:
        lines = [f"#EXTINF:6,\n{name}\n" for name in names]
        text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n" + "".join(lines) + end
        (self._folder / "index.m3u8").write_text(text)
        self._stream = self._catalog.stream("film", fresh=True)

    def ask(self, name: str, asked: Conditions = PLAIN) -> Requested:
        return requested_of(asked, self._stream, name, self._files.open(self._catalog.resolve(self._stream, name)))


@pytest.fixture
def films(tmp_path: Path) -> Films:
    return Films(tmp_path)


def test_it_is_found_out_once(films: Films) -> None:
    films.write("one.ts", "two.ts")
    first = films.ask("two.ts")
    assert (first.sequence, first.takes_seat, first.completes, first.status) == (1, True, True, 200)
    assert films.ask("two.ts") is first


def test_a_stream_that_has_changed_is_asked_again(films: Films) -> None:
    films.write("one.ts", "two.ts")
    assert films.ask("two.ts").sequence == 1
    films.write("two.ts")
    assert films.ask("two.ts").sequence == 0


def test_who_says_more_is_answered_for_that(films: Films) -> None:
    films.write("one.ts", "two.ts")
    whole = films.ask("one.ts")
    part = films.ask("one.ts", Conditions(range="bytes=0-9"))
    assert (part.status, part.completes, part.part.length) == (206, False, 10)
    assert films.ask("one.ts", Conditions(is_head=True)).takes_seat is False
    assert films.ask("one.ts") is whole


def test_of_a_live_stream_nothing_is_kept(films: Films) -> None:
    films.write("one.ts", "two.ts", end="")
    assert films.ask("one.ts") is not films.ask("one.ts")
