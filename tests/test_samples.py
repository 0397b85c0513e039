"""The sample streams as files: short, small, whole, one set of segments for HLS and DASH. Decodes nothing."""

import json
import re
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import m3u8
import pytest

SAMPLES = Path(str(files("streamlimit") / "samples"))
MPD = "{urn:mpeg:dash:schema:mpd:2011}"
MASTER, MANIFEST, DESCRIPTION = "master.m3u8", "manifest.mpd", "stream.json"

every_stream = pytest.mark.parametrize("folder", sorted(SAMPLES.glob("*/")), ids=lambda folder: folder.name)


@dataclass(frozen=True)
class Track:
    """One rendition as a manifest describes it."""

    codecs: str
    init: str
    segments: list[str]
    seconds: list[float]


def hls_tracks(folder: Path) -> dict[str, Track]:
    """What the HLS playlists say, by the name of the media playlist."""
    master = m3u8.load(str(folder / MASTER))
    (audio,) = master.media
    codecs = {audio.uri: master.playlists[0].stream_info.codecs.split(",")[1]}
    codecs |= {variant.uri: variant.stream_info.codecs.split(",")[0] for variant in master.playlists}
    return {uri.removesuffix(".m3u8"): hls_track(folder / uri, codec) for uri, codec in codecs.items()}


def hls_track(playlist: Path, codecs: str) -> Track:
    media = m3u8.load(str(playlist))
    (init,) = media.segment_map
    segments = media.segments
    return Track(codecs, init.uri, [each.uri for each in segments], [each.duration for each in segments])


def dash_tracks(folder: Path) -> dict[str, Track]:
    """What the DASH manifest says, by the id of the representation."""
    root = ElementTree.parse(folder / MANIFEST).getroot()
    return {each.attrib["id"]: dash_track(each) for each in root.iter(f"{MPD}Representation")}


def dash_track(representation: ElementTree.Element) -> Track:
    (template,) = representation.findall(f"{MPD}SegmentTemplate")
    steps = [step.attrib for step in template.iter(f"{MPD}S")]
    ticks = [int(step["d"]) for step in steps for _ in range(int(step.get("r", 0)) + 1)]
    first, scale = int(template.attrib["startNumber"]), int(template.attrib["timescale"])

    def named(attribute: str, number: int = 0) -> str:
        name = template.attrib[attribute].replace("$RepresentationID$", representation.attrib["id"])
        return re.sub(r"\$Number(%\d+d)\$", lambda match: match[1] % number, name)

    segments = [named("media", first + index) for index, _ in enumerate(ticks)]
    seconds = [step / scale for step in ticks]
    return Track(representation.attrib["codecs"], named("initialization"), segments, seconds)


def test_there_are_four_streams_of_different_titles_and_durations():
    folders = list(SAMPLES.glob("*/"))
    assert len(folders) == 4
    assert len({json.loads((folder / DESCRIPTION).read_text())["title"] for folder in folders}) == 4
    assert len({(folder / "video-180p.m3u8").read_text().count("#EXTINF") for folder in folders}) == 4


@every_stream
def test_it_lasts_40_to_60_seconds_in_every_rendition(folder: Path):
    for track in hls_tracks(folder).values():
        assert 39.9 <= sum(track.seconds) <= 60


@every_stream
def test_it_is_smaller_than_600_kilobytes(folder: Path):
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 600_000


@every_stream
def test_it_has_two_videos_and_one_audio_that_they_share(folder: Path):
    master = m3u8.load(str(folder / MASTER))
    assert [variant.stream_info.resolution for variant in master.playlists] == [(320, 180), (160, 90)]
    assert {variant.stream_info.audio for variant in master.playlists} == {"audio"}
    assert [(media.type, media.group_id, media.uri) for media in master.media] == [("AUDIO", "audio", "audio.m3u8")]
    for variant in master.playlists:
        assert re.fullmatch(r"avc1\.[0-9a-f]{6},mp4a\.40\.2", variant.stream_info.codecs)


@every_stream
def test_the_entry_playlist_names_the_best_variant_first(folder: Path):
    tags = re.findall("^#EXT-X-(STREAM-INF|MEDIA):", (folder / MASTER).read_text(), re.MULTILINE)
    assert tags == ["STREAM-INF", "STREAM-INF", "MEDIA"]
    bandwidths = [variant.stream_info.bandwidth for variant in m3u8.load(str(folder / MASTER)).playlists]
    assert bandwidths == sorted(bandwidths, reverse=True)


@every_stream
def test_its_playlists_are_finished_and_cut_every_two_seconds(folder: Path):
    for name, track in hls_tracks(folder).items():
        media = m3u8.load(str(folder / f"{name}.m3u8"))
        assert (media.target_duration, media.playlist_type, media.is_endlist) == (2, "vod", True)
        assert media.program_date_time is None
        assert track.seconds == pytest.approx([2.0] * len(track.seconds), abs=0.05)


@every_stream
def test_all_renditions_have_the_same_number_of_segments(folder: Path):
    assert len({len(track.segments) for track in hls_tracks(folder).values()}) == 1


@every_stream
def test_hls_and_dash_describe_the_same_segments(folder: Path):
    hls, dash = hls_tracks(folder), dash_tracks(folder)
    assert hls.keys() == dash.keys()
    for name, track in hls.items():
        rounded = [round(seconds, 6) for seconds in dash[name].seconds]  # as playlists write them
        assert track == replace(dash[name], seconds=rounded)


@every_stream
def test_every_file_is_described_and_every_described_file_is_there(folder: Path):
    described = {MASTER, MANIFEST, DESCRIPTION}
    for name, track in hls_tracks(folder).items():
        described |= {f"{name}.m3u8", track.init, *track.segments}
    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == described
