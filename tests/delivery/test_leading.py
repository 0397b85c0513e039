"""Playlists and manifests whose URIs lead elsewhere: what is relative goes by the other path, all else stays."""

from urllib.parse import urljoin
from xml.etree import ElementTree

import pytest

from streamlimit.delivery.leading import is_multivariant, lead_dash, lead_hls, made_multivariant

TO = "../../g~1/s/"


@pytest.mark.parametrize(
    ("line", "led"),
    [
        ("v/index.m3u8", "../../g~1/s/v/index.m3u8"),
        ("v.m3u8?a=b#c", "../../g~1/s/v.m3u8?a=b#c"),
        ("../other/v.m3u8", "../../g~1/s/../other/v.m3u8"),
        ("  v.m3u8 \r", "  ../../g~1/s/v.m3u8 \r"),
        ("été (1).m3u8", "../../g~1/s/été (1).m3u8"),
        ("https://cdn.example/v.m3u8", "https://cdn.example/v.m3u8"),
        ("//cdn.example/v.m3u8", "//cdn.example/v.m3u8"),
        ("/v.m3u8", "/v.m3u8"),
        ("\\v.m3u8", "\\v.m3u8"),
        ("", ""),
        ("# v.m3u8", "# v.m3u8"),
        ("#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"", "#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\""),
        ('#EXT-X-MEDIA:NAME="URI=x",URI="a.m3u8"', '#EXT-X-MEDIA:NAME="URI=x",URI="../../g~1/s/a.m3u8"'),
        ('#EXT-X-MEDIA:URI = "a.m3u8",TYPE=AUDIO', '#EXT-X-MEDIA:URI = "../../g~1/s/a.m3u8",TYPE=AUDIO'),
        ("#EXT-X-MEDIA:TYPE=AUDIO,URI=a.m3u8", '#EXT-X-MEDIA:TYPE=AUDIO,URI="../../g~1/s/a.m3u8"'),
        ('#EXT-X-I-FRAME-STREAM-INF:URI="i.m3u8"', '#EXT-X-I-FRAME-STREAM-INF:URI="../../g~1/s/i.m3u8"'),
        ('#EXT-X-SESSION-KEY:METHOD=AES-128,URI="k.key"', '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="../../g~1/s/k.key"'),
        ('#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key"', '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key"'),
        ('#EXT-X-SESSION-KEY:URI="data:text/plain;base64,AA"', '#EXT-X-SESSION-KEY:URI="data:text/plain;base64,AA"'),
        ('#EXT-X-SESSION-DATA:DATA-ID="a",URI="d.json"', '#EXT-X-SESSION-DATA:DATA-ID="a",URI="../../g~1/s/d.json"'),
        ('#EXT-X-CONTENT-STEERING:SERVER-URI="steer"', '#EXT-X-CONTENT-STEERING:SERVER-URI="steer"'),
    ],
)  # fmt: skip
def test_relative_uris_of_a_multivariant_playlist_are_led(line: str, led: str) -> None:
    assert lead_hls(f"#EXTM3U\n{line}\n", TO) == f"#EXTM3U\n{led}\n"


@pytest.mark.parametrize(
    ("defined", "uri", "led"),
    [
        ('NAME="a",VALUE="v"', "{$a}/x.m3u8", "../../g~1/s/v/x.m3u8"),
        ('NAME="a",VALUE="https://cdn.example"', "{$a}/x.m3u8", "{$a}/x.m3u8"),
        ('QUERYPARAM="a"', "{$a}/x.m3u8", "{$a}/x.m3u8"),
    ],
)
def test_variables_are_put_in_before_it_is_known_where_a_uri_leads(defined: str, uri: str, led: str) -> None:
    assert lead_hls(f"#EXTM3U\n#EXT-X-DEFINE:{defined}\n{uri}", TO).endswith(f"\n{led}")


def test_a_media_playlist_is_named_by_one_that_is_made() -> None:
    made = made_multivariant("../../g~1/s/index.m3u8", 0)
    assert is_multivariant(made)
    assert not is_multivariant("#EXTM3U\n#EXTINF:4,\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.ts\n")
    assert urljoin("/play/g/s/index.m3u8", made.splitlines()[-1]) == "/play/g~1/s/index.m3u8"


def bases(manifest: str | None) -> list[str]:
    """The BaseURLs of the manifest itself, as a parser sees them."""
    assert manifest is not None
    return [(each.text or "").strip() for each in ElementTree.fromstring(manifest) if each.tag.endswith("BaseURL")]


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("<MPD><Period/></MPD>", [TO]),
        ('<MPD a=">" b=\'"\'><Period/></MPD>', [TO]),
        ('<?xml version="1.0"?><!-- <MPD> --><MPD\n xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>', [TO]),
        ('<d:MPD xmlns:d="urn:x"><d:Period/></d:MPD>', [TO]),
        ("<MPD><BaseURL>v/</BaseURL><Period/></MPD>", [TO + "v/"]),
        ("<MPD><BaseURL> v/ </BaseURL><BaseURL>https://cdn/</BaseURL><Period/></MPD>", [TO + "v/", "https://cdn/"]),
        ("<MPD><BaseURL><![CDATA[v/?a&b]]></BaseURL><Period/></MPD>", [TO + "v/?a&b"]),
        ("<MPD><!-- <BaseURL>no/</BaseURL> --><Period/></MPD>", [TO]),
        ("<MPD><Period><BaseURL>p/</BaseURL></Period></MPD>", [TO]),
        ("<MPD><BaseURL-x/><BaseURL-x></BaseURL-x><BaseURL/><BaseURL>v/</BaseURL><Period/></MPD>", ["", TO + "v/"]),
        ("<MPD><x><![CDATA[<!--]]></x><BaseURL>v/</BaseURL><!-- a --><Period/></MPD>", [TO + "v/"]),
        ("<MPD><x><![CDATA[<BaseURL>w/</BaseURL>]]></x><Period/></MPD>", [TO]),
        ("<MPD><BaseURL>v/<![CDATA[<w>]]></BaseURL><BaseURL>u/</BaseURL><Period/></MPD>", [TO + "v/<w>", TO + "u/"]),
    ],
)
def test_a_manifests_base_is_where_it_leads(manifest: str, expected: list[str]) -> None:
    assert bases(lead_dash(manifest, TO, "m.mpd")) == expected


def test_bases_of_periods_stay() -> None:
    led = lead_dash("<MPD><Period><BaseURL>p/</BaseURL></Period></MPD>", TO, "m.mpd")
    assert led is not None
    assert "<Period><BaseURL>p/</BaseURL></Period>" in led


@pytest.mark.parametrize("before", ["", "<Location>https://origin.example/m.mpd</Location>"])
def test_a_dynamic_manifest_is_found_again_under_its_play(before: str) -> None:
    led = lead_dash(f'<MPD type="dynamic">{before}<Period/></MPD>', TO, "m%20n.mpd")
    assert led == f'<MPD type="dynamic"><BaseURL>{TO}</BaseURL><Location>{TO}m%20n.mpd</Location><Period/></MPD>'


def test_only_a_location_is_taken_for_one() -> None:
    others = "<Location-x>a</Location-x><x>b</x>"
    led = lead_dash(f'<MPD type="dynamic"><Location/>{others}<Location>c</Location><Period/></MPD>', TO, "m.mpd")
    assert led is not None
    assert others in led
    assert ">c<" not in led


MANY = 30_000
"""Of what begins and has no end; a reading that looks for each one's end through all the rest takes minutes."""


@pytest.mark.parametrize(
    ("text", "is_led"),
    [
        (f"<MPD>{'<BaseURL>' * MANY}<Period/></MPD>", True),
        (f"<MPD>{'<BaseURL-x></BaseURL-x>' * MANY}<Period/></MPD>", True),
        (f"<MPD>{'<BaseURL><![CDATA[' * MANY}", False),
        (f"<MPD><BaseURL>{'<![CDATA[]]>' * MANY}<x/><Period/></MPD>", True),
        (f"<MPD>{'<!--' * MANY}<Period/></MPD>", False),
        (f"<MPD><x><![CDATA[{'<!--' * MANY}]]></x><Period/></MPD>", True),
        (f"<MPD type='dynamic'>{'<Location>' * MANY}<Period/></MPD>", True),
        ("<MPD " * MANY, False),
        (f"<MPD type='dynamic'><x><![CDATA[{'<Location><![CDATA[' * MANY}]]></x><Period/></MPD>", True),
        (f"<MPD><x><![CDATA[{'<BaseURL><![CDATA[' * MANY}]]></x><Period/></MPD>", True),
    ],
    ids=[
        *("base", "other name", "open data", "data", "open comment", "comment in data", "location", "open tag"),
        *("location in data", "base in data"),
    ],
)
def test_a_manifest_is_gone_through_once(text: str, is_led: bool) -> None:
    assert (lead_dash(text, TO, "m.mpd") is not None) is is_led


@pytest.mark.parametrize(
    "text", ["", "no manifest", "<MPD/>", "<MPD></MPD>", "<!-- <MPD> -->", "\x00<\x00M\x00P\x00D\x00>"]
)
def test_what_is_no_manifest_is_not_led(text: str) -> None:
    assert lead_dash(text, TO, "m.mpd") is None
