"""Makes the four sample streams: short films with a picture and a tone, for the first run and the tests.

    python tools/make_samples.py [TARGET]        # TARGET: src/streamlimit/samples

Each stream becomes one folder: two video renditions and one audio rendition in CMAF segments of two
seconds, described twice over the same files, as HLS (master.m3u8) and as DASH (manifest.mpd). ffmpeg
draws, encodes and cuts. Its manifests are then put right here: renditions get names, wall-clock
dates go, and bandwidths are measured from the files. The same ffmpeg writes the same bytes again.
Needs ffmpeg with libx264 and libfreetype, and the font DejaVu Sans; knows nothing of streamlimit.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

SEGMENT_SECONDS = 2
FRAMES_PER_SECOND = 10
SAMPLES_PER_SECOND = 24_000
DEFAULT_TARGET = Path(__file__).parents[1] / "src" / "streamlimit" / "samples"

MPD_NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
MPD = f"{{{MPD_NAMESPACE}}}"
SEGMENT_LINES = re.compile(r"#EXTINF:([\d.]+),\n(?:#[^\n]*\n)*([^#\n]+)\n")


@dataclass(frozen=True)
class Stream:
    """One film: *picture* is an ffmpeg video source of 320x180, *tone* an audio expression of the time t."""

    stream_id: str
    title: str
    seconds: int
    picture: str
    tone: str


@dataclass(frozen=True)
class Rendition:
    """One encoding of a film; ffmpeg numbers them in the order of RENDITIONS."""

    name: str
    resolution: str = ""


RENDITIONS = (Rendition("video-180p", "320x180"), Rendition("video-90p", "160x90"), Rendition("audio"))
*VIDEOS, AUDIO = RENDITIONS

STREAMS = (
    Stream(
        "aurora",
        "Aurora over the fjord",
        40,
        # slow curtains of green and violet
        "gradients=s=320x180:r=10:c0=0x021024:c1=0x12d98f:c2=0x5b2a9d:c3=0x031b3a:nb_colors=4:speed=0.02:seed=7",
        # a major chord that swells every four seconds
        "(0.6-0.4*cos(PI*t/2))*0.16*(sin(2*PI*220*t)+sin(2*PI*277.2*t)+sin(2*PI*329.6*t))",
    ),
    Stream(
        "clock",
        "The station clock",
        44,
        # a white face on dark red, one turn of the hand every twelve seconds
        "color=c=0x5a1020:s=320x180:r=10,format=yuv420p,geq="
        "lum='if(lt(hypot(X-160,Y-90),58),"
        "if(gt((X-160)*sin(PI*T/6)-(Y-90)*cos(PI*T/6),-8)"
        "*lt(hypot(X-160,Y-90),50)*lt(abs((X-160)*cos(PI*T/6)+(Y-90)*sin(PI*T/6)),2.5),30,225),lum(X,Y))'"
        ":cb='if(lt(hypot(X-80,Y-45),29),128,cb(X,Y))':cr='if(lt(hypot(X-80,Y-45),29),128,cr(X,Y))'",
        # a tick a second, every fourth one higher
        "0.5*exp(-18*mod(t,1))*sin(2*PI*(880+440*lt(mod(t,4),1))*t)",
    ),
    Stream(
        "harbour",
        "Harbour at dusk",
        48,
        # a sun that sinks behind waves
        "color=c=0x24406a:s=320x180:r=10,format=yuv420p,geq="
        "lum='if(gt(Y,112+5*sin(X/22+2*T)+3*sin(X/9-T)),60-(Y-112)/2,if(lt(hypot(X-230,Y-50-T),22),215,90+Y/2))'"
        ":cb='if(gt(Y,56+2.5*sin(X/11+2*T)+1.5*sin(X/4.5-T)),150,if(lt(hypot(X-115,Y-25-T/2),11),90,118))'"
        ":cr='if(gt(Y,56+2.5*sin(X/11+2*T)+1.5*sin(X/4.5-T)),100,if(lt(hypot(X-115,Y-25-T/2),11),165,160))'",
        # a fog horn: a fifth, two seconds in every four
        "lt(mod(t,4),2)*sin(PI*mod(t,4)/2)*0.3*(sin(2*PI*110*t)+sin(2*PI*165*t)+0.3*sin(2*PI*330*t))",
    ),
    Stream(
        "orchard",
        "An orchard in spring",
        52,
        # blossoms that open and fade
        "life=s=32x18:r=2.5:seed=11:ratio=0.18:mold=12:life_color=0xffc4dc:mold_color=0x2f6b34:death_color=0xd8e08a"
        ",scale=320x180:flags=neighbor,fps=10",
        # an arpeggio: four notes, half a second each
        "0.4*exp(-4*mod(t,0.5))*sin(2*PI*t*(392+102*gte(mod(t,2),0.5)+93*gte(mod(t,2),1)+197*gte(mod(t,2),1.5)))",
    ),
)


def main(target: Path) -> None:
    """Make every stream anew, replacing the folder it had."""
    for stream in STREAMS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            encode(stream, folder)
            name_renditions(folder)
            write_playlists(folder)
            tidy_manifest(folder)
            write_description(stream, folder)
            shutil.rmtree(target / stream.stream_id, ignore_errors=True)
            shutil.copytree(folder, target / stream.stream_id)
        print(f"{stream.stream_id}: {stream.seconds} s, {size_of(target / stream.stream_id):,} bytes")


def encode(stream: Stream, folder: Path) -> None:
    """Have ffmpeg write segments, manifest.mpd and media_<number>.m3u8 into *folder*."""
    for number, _ in enumerate(RENDITIONS):
        (folder / str(number)).mkdir()
    command = ["ffmpeg", "-v", "error", *inputs(stream), *encoders(), *packaging(stream), "manifest.mpd"]
    subprocess.run(command, cwd=folder, check=True)


def inputs(stream: Stream) -> Iterator[str]:
    """The picture with its title and the number of the running segment, and the tone."""
    segments = stream.seconds // SEGMENT_SECONDS
    running = f"%{{eif\\:floor(t/{SEGMENT_SECONDS})+1\\:d}} / {segments}"
    captions = f"{caption(stream.title, 20, 'y=8')},{caption(running, 16, 'y=h-26')}"
    picture = f"{stream.picture},format=yuv420p,{captions}"
    tone = f"aevalsrc='{stream.tone}':s={SAMPLES_PER_SECOND}"
    for source in (picture, tone):
        yield from ("-f", "lavfi", "-t", str(stream.seconds), "-i", source)
    yield from ("-filter_complex", f"[0:v]split[large][copy];[copy]scale={VIDEOS[1].resolution}[small]")
    yield from ("-map", "[large]", "-map", "[small]", "-map", "1:a")


def caption(text: str, size: int, place: str) -> str:
    """White text with a shadow."""
    colours = "fontcolor=white:shadowx=1:shadowy=1"
    return f"drawtext=font=DejaVu Sans:text='{text}':fontsize={size}:x=10:{place}:{colours}"


def encoders() -> Iterator[str]:
    """H.264 with a keyframe on each segment's border and no B-frames, and mono AAC; one thread, no chance."""
    yield from ("-c:v", "libx264", "-preset", "veryslow", "-profile:v", "main", "-bf", "0", "-threads", "1")
    group = str(SEGMENT_SECONDS * FRAMES_PER_SECOND)
    yield from ("-g", group, "-keyint_min", group, "-sc_threshold", "0")
    yield from ("-b:v:0", "26k", "-maxrate:v:0", "28k", "-bufsize:v:0", "28k")
    yield from ("-b:v:1", "11k", "-maxrate:v:1", "12k", "-bufsize:v:1", "12k")
    yield from ("-c:a", "aac", "-ac", "1", "-b:a", "24k")
    yield from ("-flags:v", "+bitexact", "-flags:a", "+bitexact", "-fflags", "+bitexact")


def packaging(stream: Stream) -> Iterator[str]:
    """CMAF segments in a folder for each rendition, described as DASH and as HLS."""
    yield from ("-map_metadata", "-1", "-metadata", f"title={stream.title}")
    yield from ("-f", "dash", "-hls_playlist", "1", "-seg_duration", str(SEGMENT_SECONDS))
    yield from ("-use_template", "1", "-use_timeline", "1", "-format_options", "movflags=cmaf")
    yield from ("-adaptation_sets", "id=0,streams=v id=1,streams=a")
    yield from ("-init_seg_name", "$RepresentationID$/init.mp4")
    yield from ("-media_seg_name", "$RepresentationID$/seg-$Number%05d$.m4s")


def name_renditions(folder: Path) -> None:
    """Give the renditions that ffmpeg numbered their names, as folders and in the playlists."""
    for number, rendition in enumerate(RENDITIONS):
        (folder / str(number)).rename(folder / rendition.name)
        playlist = (folder / f"media_{number}.m3u8").rename(folder / f"{rendition.name}.m3u8")
        text = playlist.read_text()
        playlist.write_text(text.replace(f"\n{number}/", f"\n{rendition.name}/"))


def write_playlists(folder: Path) -> None:
    """Write the HLS playlists anew: ffmpeg dates each segment by the wall clock and does not say VOD."""
    for rendition in RENDITIONS:
        (folder / f"{rendition.name}.m3u8").write_text(media_playlist(folder, rendition))
    (folder / "master.m3u8").write_text(master_playlist(folder))


def media_playlist(folder: Path, rendition: Rendition) -> str:
    """The playlist of one rendition."""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{rendition.name}/init.mp4"',
    ]
    for seconds, uri in segments_of(folder, rendition):
        lines += [f"#EXTINF:{seconds:.6f},", uri]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def master_playlist(folder: Path) -> str:
    """The entry playlist: the variants, best first, then the audio that they share."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    codecs = codecs_of(folder)
    for video in VIDEOS:
        bandwidth = peak_bandwidth(folder, video) + peak_bandwidth(folder, AUDIO)
        average = average_bandwidth(folder, video) + average_bandwidth(folder, AUDIO)
        lines.append(
            f"#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH={average},RESOLUTION={video.resolution},"
            f'FRAME-RATE={FRAMES_PER_SECOND:.3f},CODECS="{codecs[video.name]},{codecs[AUDIO.name]}",AUDIO="{AUDIO.name}"'
        )
        lines.append(f"{video.name}.m3u8")
    lines.append(
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{AUDIO.name}",NAME="Tone",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="1",'
        f'URI="{AUDIO.name}.m3u8"'
    )
    return "\n".join([*lines, ""])


def tidy_manifest(folder: Path) -> None:
    """Name the DASH representations, measure their bandwidth, and round the longest segment up, not down."""
    ElementTree.register_namespace("", MPD_NAMESPACE)
    ElementTree.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    tree = ElementTree.parse(folder / "manifest.mpd")
    root = tree.getroot()
    root.set("maxSegmentDuration", f"PT{longest_segment(folder):.3f}S")
    for empty in root.findall(f"{MPD}ServiceDescription"):
        root.remove(empty)
    for representation in root.iter(f"{MPD}Representation"):
        rendition = RENDITIONS[int(representation.attrib["id"])]
        representation.set("id", rendition.name)
        representation.set("bandwidth", str(peak_bandwidth(folder, rendition)))
    ElementTree.indent(tree)
    tree.write(folder / "manifest.mpd", encoding="utf-8", xml_declaration=True)


def write_description(stream: Stream, folder: Path) -> None:
    """stream.json: what a person calls the stream."""
    (folder / "stream.json").write_text(json.dumps({"title": stream.title}) + "\n")


def segments_of(folder: Path, rendition: Rendition) -> list[tuple[float, str]]:
    """Seconds and URI of each segment, in order."""
    found = SEGMENT_LINES.findall((folder / f"{rendition.name}.m3u8").read_text())
    return [(float(seconds), uri) for seconds, uri in found]


def codecs_of(folder: Path) -> dict[str, str]:
    """The codecs of each rendition, as ffmpeg wrote them into its manifest."""
    representations = ElementTree.parse(folder / "manifest.mpd").getroot().iter(f"{MPD}Representation")
    return {RENDITIONS[int(each.attrib["id"])].name: each.attrib["codecs"] for each in representations}


def peak_bandwidth(folder: Path, rendition: Rendition) -> int:
    """Bits per second of the densest segment."""
    return max(round(bits(folder / uri) / seconds) for seconds, uri in segments_of(folder, rendition))


def average_bandwidth(folder: Path, rendition: Rendition) -> int:
    """Bits per second over all segments."""
    segments = segments_of(folder, rendition)
    return round(sum(bits(folder / uri) for _, uri in segments) / sum(seconds for seconds, _ in segments))


def longest_segment(folder: Path) -> float:
    """Seconds of the longest segment of any rendition, up to the next millisecond."""
    longest = max(seconds for rendition in RENDITIONS for seconds, _ in segments_of(folder, rendition))
    return -(-longest * 1000 // 1) / 1000


def bits(file: Path) -> int:
    """The size of one file in bits."""
    return file.stat().st_size * 8


def size_of(folder: Path) -> int:
    """The size of all files of a folder in bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else DEFAULT_TARGET)
