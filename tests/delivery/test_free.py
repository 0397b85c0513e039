"""Free files are of known kinds; every other file takes a seat, and a name alone opens no film."""

import struct
from pathlib import Path

import pytest

from streamlimit.delivery import free
from streamlimit.delivery.free import holds_media
from streamlimit.delivery.local import LocalFiles
from tests.delivery.stream_folders import Folder, mpd, playlist, read_stream, video_set

LEFTOVER = Path(__file__).parents[1] / "cases/free-suffixes/streams/h-leftover"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "streams" / "movie")


def box(name: bytes, inside: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(inside), name) + inside


INIT = box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", b"m" * 600)


def takes_a_seat(folder: Folder, path: str, content: bytes = b"x" * 2000) -> bool:
    file = folder.write(path, content)
    stream = read_stream(folder.path)
    what = stream.classify(path)
    return what == "media" or holds_media(what, path in stream.files, LocalFiles().open(file))


@pytest.mark.parametrize("name", sorted(path.name for path in LEFTOVER.glob("source.*")))
def test_a_leftover_of_any_kind_takes_a_seat(name: str) -> None:
    assert read_stream(LEFTOVER).classify(name) == "media"


KINDS = """mpeg avi wmv 3gp ogv f4v m2v mka dash ismv vob MPEG cmfv m4f mp4v aac ac3 webm mks rmvb divx iso zip bin dat
part tmp bak 1 264 hevc ivf y4m mxf asf m2p tsv tsa aacp eac3 amr weba m3u8x srtx"""

SEATED = [
    *(f"film.{kind}" for kind in KINDS.split()),
    "film", "film.", "film..", "film.txt.", "film.txt ", "film.m3u8.ts", "film.jpg.mp4", "film.m3u8.", "film .mpd ",
    "a.txt/film", "film.vtt\u200b", "film.tхt", "film.JPG.", "mpd", "m3u8", "film~", "film.json~",
]  # fmt: skip


@pytest.mark.parametrize("path", SEATED)
def test_what_is_not_known_to_be_free_takes_a_seat(folder: Folder, path: str) -> None:
    folder.write("index.m3u8", playlist(["1.ts"]))
    assert read_stream(folder.path).classify(path) == "media"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("sub/audio.m3u8", "playlist"), ("OLD.MPD", "playlist"), ("sub/x.M3U", "playlist"), ("de.vtt", "other"),
        ("de.srt", "other"), ("de.TTML", "other"), ("de.ass", "other"), ("poster.JPG", "other"), ("a.b.png", "other"),
        ("stream.json", "other"), ("thumbs/1.webp", "other"), ("notes.txt", "other"), ("old.key", "other"),
    ],
)  # fmt: skip
def test_text_images_and_playlists_are_free(folder: Folder, path: str, what: str) -> None:
    folder.write("index.m3u8", playlist(["1.ts"]))
    assert read_stream(folder.path).classify(path) == what
    assert not takes_a_seat(folder, path)


MEDIA = {
    "ts": (b"G" + b"\0" * 187) * 4,
    "m2ts": (b"\0\0\0\0G" + b"\0" * 187) * 4,
    "mp4": INIT,
    "fragment": box(b"styp", b"msdh") + box(b"moof"),
    "matroska": b"\x1aE\xdf\xa3" + b"\0" * 99,
    "ogg": b"OggS" + b"\0" * 99,
    "avi": b"RIFF\0\0\0\0AVI LIST",
    "wav": b"RIFF\0\0\0\0WAVEfmt ",
    "asf": b"0&\xb2u\x8ef\xcf\x11",
    "program": b"\0\0\x01\xba" + b"\0" * 99,
    "h264": b"\0\0\0\x01\x67" + b"\0" * 99,
    "aac": b"\xff\xf1" + b"\0" * 99,
    "mp3": b"\xff\xfb" + b"\0" * 99,
    "flac": b"fLaC" + b"\0" * 99,
    "mpeg video": b"\0\0\x01\xb3" + b"\0" * 99,
    "h264, short": b"\0\0\x01\x67" + b"\0" * 99,
    "quicktime": box(b"wide") + struct.pack(">I4s", 0x01400000, b"mdat") + b"x" * 99,
    "cut off": struct.pack(">I4s", 0x01400000, b"mdat") + b"x" * 99,
    "uuid": box(b"uuid", b"x" * 99),
    "mxf": b"\x06\x0e+4\x02\x05\x01\x01",
    "ivf": b"DKIF\0\0 \0VP90",
    "amr": b"#!AMR\n" + b"x" * 99,
    "caf": b"caff\0\1\0\0",
    "aiff": b"FORM\0\0\0\0AIFFCOMM",
    "rm": b".RMF\0\0\0\x12",
    "ac3": b"\x0bw" + b"\0" * 99,
    "dts": b"\x7f\xfe\x80\x01" + b"\0" * 99,
    "tags": b"ID3\4\0\0" + b"\0" * 99,
    "mp2": b"\xff\xfd" + b"\0" * 99,
}
NAMES = ("film.txt", "film.json", "film.key", "film.jpg", "film.m3u8", "sub/film.mpd", "film.vtt")


@pytest.mark.parametrize("kind", MEDIA)
def test_a_renamed_film_takes_a_seat(folder: Folder, kind: str) -> None:
    folder.write("index.m3u8", playlist(["1.ts"]))
    assert [takes_a_seat(folder, name, MEDIA[kind]) for name in NAMES if name != "film.m3u8"] == [True] * 6


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("de.srt", "\ufeff1\n00:00".encode("utf-16")),
        ("de.vtt", b"\xef\xbb\xbfWEBVTT\n"),
        ("a.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("a.png", b"\x89PNG\r\n\x1a\n"),
        ("a.webp", b"RIFF\0\0\0\0WEBPVP8 "),
        ("a.avif", box(b"ftyp", b"avif\0\0\0\0")),
        ("a.ico", b"\0\0\x01\0\x01\0"),
        ("a.gif", b"GIF89a"),
        ("a.txt", b"Good words" * 99),
        ("a.txt", b""),
        ("a.txt", b"Not free of charge"),
        ("a.txt", b"The wide world"),
        ("a.txt", b"The meta data"),
        ("a.txt", b"ID3 tags, explained"),
        ("a.txt", b"caffeine"),
        ("a.txt", b"FORM 1234AIFFEL"),
        ("a.json", b"{\n  free: 1"),
        ("de.srt", "1\n00:00".encode("utf-16-be")),
        ("a.jpg", b"\xff\xd8" + b"x" * 3_000_000),
    ],
)
def test_what_is_what_its_name_says_is_free(folder: Folder, name: str, content: bytes) -> None:
    folder.write("index.m3u8", playlist(["1.ts"]))
    assert not takes_a_seat(folder, name, content)


@pytest.mark.parametrize("name", ["film.txt", "film.jpg", "sub/film.m3u8"])
def test_what_is_larger_than_a_text_or_an_image_takes_a_seat(folder: Folder, name: str) -> None:
    folder.write("index.m3u8", playlist(["1.ts"]))
    file = folder.write(name)
    with file.open("r+b") as sparse:
        sparse.truncate(free.MAX_FREE + 1)
    assert holds_media(read_stream(folder.path).classify(name), False, LocalFiles().open(file))


@pytest.mark.parametrize(
    ("content", "is_film"),
    [
        (INIT, False),
        (INIT + box(b"mdat"), False),
        (INIT + box(b"moof", b"x" * 90) + box(b"mdat", b"x" * 90), True),
        (INIT + box(b"mdat", b"x" * 9), True),
        (box(b"mdat", b"x" * 9) + INIT, True),
        (INIT + struct.pack(">I4sQ", 1, b"mdat", 99) + b"x" * 83, True),
        (INIT + struct.pack(">I4s", 0, b"mdat") + b"x" * 83, True),
        ((b"G" + b"\0" * 187) * 3, False),
        ((b"G" + b"\0" * 187) * 400, True),
        (box(b"ftyp", b"isom") + box(b"moov", b"x" * free.MAX_INIT), True),
    ],
)
@pytest.mark.parametrize("kind", ["hls", "dash"])
def test_an_init_that_is_a_whole_film_takes_a_seat(folder: Folder, kind: str, content: bytes, is_film: bool) -> None:
    template = '<SegmentTemplate media="$Number$.m4s" initialization="init.mp4" duration="5"/>'
    if kind == "hls":
        folder.write("index.m3u8", playlist(["1.m4s"], head='#EXT-X-MAP:URI="init.mp4"'))
    else:
        folder.write("manifest.mpd", mpd(f"<Period>{video_set(template)}</Period>"))
    assert takes_a_seat(folder, "init.mp4", content) == is_film
    assert takes_a_seat(folder, "other-init.mp4", INIT)  # that nobody names


def test_a_key_that_is_a_film_takes_a_seat_and_a_key_does_not(folder: Folder) -> None:
    folder.write("index.m3u8", playlist(["1.ts"], head='#EXT-X-KEY:METHOD=AES-128,URI="k.ts"'))
    assert not takes_a_seat(folder, "k.ts", b"G" * 16)
    assert takes_a_seat(folder, "k.ts", b"x" * 100_000)


def test_subtitles_in_mp4_that_a_manifest_lists_are_free(folder: Folder) -> None:
    template = '<SegmentTemplate media="$RepresentationID$-$Number$.m4s" duration="10"/>'
    text = f'<AdaptationSet mimeType="application/mp4" codecs="wvtt"><Representation id="t">{template}</Representation>'
    folder.write("manifest.mpd", mpd(f"<Period>{text}</AdaptationSet>{video_set(template)}</Period>"))
    assert not takes_a_seat(folder, "t-1.m4s", INIT + box(b"moof") + box(b"mdat", b"x" * 90))
    assert takes_a_seat(folder, "t-9.m4s")
    assert takes_a_seat(folder, "v1-1.m4s")
