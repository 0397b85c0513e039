"""The paths that URIs in playlists name, and the reasons for those without one."""

# ruff: noqa: E501  (lists of inputs read better with as many on a line as fit)

from pathlib import Path

import pytest

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.paths import is_safe, one_slash, resolve, target, why_not, wrong_with_path
from streamlimit.errors import UnknownSegment

CASES = Path(__file__).parent.parent / "cases"

SERVED = {
    "s0.ts": "s0.ts",
    "chunks//s0.ts": "chunks/s0.ts",
    "chunks///s0.ts": "chunks/s0.ts",
    "chunks\\s0.ts": "chunks/s0.ts",
    "chunks\\\\s0.ts": "chunks/s0.ts",
    ".\\chunks\\s0.ts": "chunks/s0.ts",
    "chunks/../s0.ts": "s0.ts",
    "a/b/../../s0.ts": "s0.ts",
    "chunks\\..\\s0.ts": "s0.ts",
    "a%2Fb.ts": "a/b.ts",
    "s0.ts?token=a//b\\c": "s0.ts",
    "映画\u3000第1話_0.ts": "映画\u3000第1話_0.ts",
    "%E6%98%A0%E7%94%BB%E3%80%80.ts": "映画\u3000.ts",
    "Screen\u202fRecording.ts": "Screen\u202fRecording.ts",
    "می\u200cخواهم0.ts": "می\u200cخواهم0.ts",
    "e\u0301te\u0301.ts": "e\u0301te\u0301.ts",
    "\u00e9t\u00e9.ts": "\u00e9t\u00e9.ts",
    "e%CC%81.ts": "e\u0301.ts",
    "a\u2028b.ts": "a\u2028b.ts",
    "soft\u00adhyphen.ts": "soft\u00adhyphen.ts",
    "\ue000private.ts": "\ue000private.ts",
    "\ufffd.ts": "\ufffd.ts",
    "a%3Fb%23c%25.ts": "a?b#c%.ts",
}
REFUSED = {
    "../x.ts": "outside", "..\\x.ts": "outside", "..\\..\\x.ts": "outside", "a/../../x.ts": "outside", "..//x.ts": "outside",
    "%2e%2e/x.ts": "outside", "%2E%2e%2Fx.ts": "outside", "..%2fx.ts": "outside", ".%2e\\x.ts": "outside",
    "a%2f..%2f..%2fx.ts": "outside", "a//..//..//x.ts": "outside", "..": "outside", "%2e%2e": "outside",
    "..%5cx.ts": "backslash", "a%5cb.ts": "backslash", "%2e%2e%5c%2e%2e%5cx.ts": "backslash",
    "%c0%ae%c0%ae/x.ts": "UTF-8", "..%c0%afx.ts": "UTF-8", "%E9t%E9.ts": "UTF-8", "%ED%A0%80.ts": "UTF-8", "caf\udce9.ts": "UTF-8",
    "a%00.ts": "control character (U+0000)", "a%0a.ts": "control character (U+000A)", "a%C2%85.ts": "control character (U+0085)",
    "a\tb.ts": "control character", "a\x7f.ts": "control character", ".\t./x.ts": "control character",
    "/x.ts": "absolute", "\\x.ts": "absolute", "/../x.ts": "absolute",
    "https://cdn.example/x.ts": "another place", "//cdn.example/x.ts": "another place", "\\\\cdn.example\\x.ts": "another place",
    "/\\cdn.example/x.ts": "another place", "C:\\x.ts": "another place", "data:,x": "another place",
    ".hidden.ts": "hidden", "a/.git/x.ts": "hidden", "%2ehidden.ts": "hidden",
    "": "no file", "?a=b": "no file", ".": "folder", "a/..": "folder",
    "x" * 1_025: "1025 characters",
}  # fmt: skip


@pytest.mark.parametrize("uri", SERVED, ids=ascii)
def test_a_uri_means_what_it_means_to_browsers_and_file_systems(uri: str) -> None:
    assert target("index.m3u8", uri) == SERVED[uri]
    assert target("hls/index.m3u8", uri) == "hls/" + SERVED[uri]


@pytest.mark.parametrize("uri", REFUSED, ids=lambda uri: ascii(uri)[:40])
def test_what_is_not_served_is_told_why(uri: str) -> None:
    assert target("index.m3u8", uri) is None
    assert REFUSED[uri] in why_not("index.m3u8", uri)


def test_a_folder_up_is_fine_as_long_as_it_is_the_streams() -> None:
    assert target("hls/v1/index.m3u8", "../../s0.ts") == "s0.ts"
    assert target("hls/index.m3u8", "..\\chunks\\s0.ts") == "chunks/s0.ts"
    assert target("hls/index.m3u8", "../../x.ts") is None


def test_names_that_differ_only_in_how_they_are_composed_are_two(tmp_path: Path) -> None:
    composed, decomposed = "\u00e9.ts", "e\u0301.ts"
    (tmp_path / composed).write_text("1")
    (tmp_path / decomposed).write_text("2")
    texts = [resolve(str(tmp_path), str(tmp_path), name).read_text() for name in (composed, decomposed)]
    assert texts == ["1", "2"]


def test_what_is_asked_for_may_be_spelled_as_a_player_spells_it() -> None:
    assert one_slash("chunks//s0.ts") == one_slash("chunks\\s0.ts") == "chunks/s0.ts"
    assert not is_safe(one_slash("..\\..\\x.ts"))
    assert not is_safe(one_slash("//etc/passwd"))


@pytest.mark.parametrize(
    "path", ["..", "../x", "a/../x", "/x", "a//b", "a\\b", "a\0b", ".x", "", "a/", "caf\udce9", "."]
)
def test_no_such_path_is_opened(path: str, tmp_path: Path) -> None:
    assert wrong_with_path(path)
    with pytest.raises(UnknownSegment):
        resolve(str(tmp_path), str(tmp_path), path)


@pytest.mark.parametrize("case", ["unprintable-file-names", "double-slash", "backslash"])
def test_streams_of_real_names_are_served_whole(case: str) -> None:
    catalog = Catalog(CASES / case / "streams")
    streams = catalog.streams()
    assert catalog.problems == {}
    assert {stream.stream_id for stream in streams} == {each.name for each in (CASES / case / "streams").iterdir()}
    for stream in streams:
        assert len(stream.main) == 2
        assert all(Path(catalog.resolve(stream, segment.path)).is_file() for segment in stream.main)


def test_a_stream_whose_names_are_no_utf_8_is_told_of_in_words_that_can_be_sent(tmp_path: Path) -> None:
    folder = tmp_path / "movie"
    folder.mkdir()
    (folder / "caf\udce9.m3u8").write_text("#EXTM3U\n#EXTINF:2,\ns0.ts\n#EXT-X-ENDLIST\n")
    catalog = Catalog(tmp_path)
    assert catalog.streams() == []
    assert "UTF-8" in catalog.problems["movie"]
    assert catalog.problems["movie"].encode()


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
MANIFEST = """<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S"><Period><AdaptationSet mimeType="video/mp4">
<Representation id="v" bandwidth="1"><SegmentTemplate media="{}" duration="2" startNumber="1"/></Representation></AdaptationSet></Period></MPD>"""


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("../x$Number$.ts", "lies outside the stream"),
        ("a%00$Number$.ts", "holds a control character (U+0000)"),
        ("/x$Number$.ts", "is absolute"),
        ("https://cdn.example/x$Number$.ts", "is at another place"),
        ("a%5c$Number$.ts", "holds a backslash"),
        ("%ff$Number$.ts", "is not UTF-8"),
        (".x$Number$.ts", "is hidden"),
    ],
)
def test_the_operator_reads_which_of_the_causes_it_is(uri: str, why: str, tmp_path: Path) -> None:
    for name, text in (("hls/index.m3u8", PLAYLIST), ("dash/manifest.mpd", MANIFEST)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text.format(uri))
    catalog = Catalog(tmp_path)
    assert catalog.streams() == []
    assert why in catalog.problems["hls"], catalog.problems
    assert why in catalog.problems["dash"], catalog.problems


@pytest.mark.parametrize("media", ["chunks//s$Number$.m4s", "chunks\\s$Number$.m4s", "映画\u3000$Number$.m4s"])
@pytest.mark.parametrize("length", ['type="static" mediaPresentationDuration="PT4S"', 'type="dynamic"'])
def test_a_manifest_names_files_as_a_playlist_does(media: str, length: str, tmp_path: Path) -> None:
    (tmp_path / "movie" / "chunks").mkdir(parents=True)
    for number in (1, 2):
        name = media.replace("$Number$", str(number)).replace("//", "/").replace("\\", "/")
        (tmp_path / "movie" / name).write_text("x")
    text = MANIFEST.format(media).replace('type="static" mediaPresentationDuration="PT4S"', length)
    (tmp_path / "movie" / "manifest.mpd").write_text(text)
    catalog = Catalog(tmp_path)
    (stream,) = catalog.streams()
    assert [Path(catalog.resolve(stream, segment.path)).read_text() for segment in stream.main] == ["x", "x"]
