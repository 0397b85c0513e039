"""Each recipe as viewers see it: ffmpeg, and hls.js in a real Chromium, play a stream through it."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import opened
from tests.e2e.cmcd_players import STREAM, start
from tests.edge.programs import Edge
from tests.edge.recipes import EDGES, Recipes
from tests.needs import needs
from tests.service import SAMPLES, temporary_folder

SECONDS = 90
"""How long a state may take to come on a busy machine."""

REPORTS = "performance.getEntriesByType('resource').filter(({name}) => name.includes('/edge/cmcd/'))"


@pytest.fixture(scope="module")
def recipes() -> Iterator[Recipes]:
    with temporary_folder() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "streams").symlink_to(SAMPLES)
        settings = {"streams": str(SAMPLES), "deliver": "accel", "segment_seconds": 10, "start_seconds": SECONDS}
        yield Recipes(stack, folder, edge_log=f"unix:{folder}/edge.sock", edge_cache_seconds=3, **settings)


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest, recipes: Recipes) -> Edge:
    return recipes.edge(str(request.param))


def test_ffmpeg_plays_to_the_end_on_one_seat(edge: Edge, user: str) -> None:
    needs("ffmpeg")
    grant = edge.open(user, "s", STREAM)["grant"]
    url = f"http://127.0.0.1:{edge.port}/play/{grant}/{STREAM}/master.m3u8"
    quiet = ["ffmpeg", "-v", "error", "-nostdin", "-progress", "pipe:1"]
    best = ["-i", url, "-map", "0:v:0", "-map", "0:a:0", "-f", "null", "-"]
    played = subprocess.run([*quiet, *best], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (played.returncode, played.stderr) == (0, "")
    times = [line.partition("=")[2] for line in played.stdout.splitlines() if line.startswith("out_time_us=")]
    assert int(times[-1]) == pytest.approx(40_000_000, abs=300_000)
    edge.await_state(user, "s", "active")
    (session,) = edge.service.watching(user)["sessions"]
    assert session["stream_id"] == STREAM


def test_hlsjs_plays_in_a_page_of_another_origin_and_reports_through_the_edge(
    edge: Edge, user: str, browser: Browser, site: str
) -> None:
    grant = edge.open(user, "tab", STREAM)["grant"]
    outside = f"http://127.0.0.1:{edge.port}"
    with opened(browser, f"{site}/hlsjs") as tab:
        start(tab, f"{outside}/play/{grant}/{STREAM}/", "hlsjs", f"{outside}/edge/cmcd/{grant}")
        tab.wait_for("video.currentTime > 2 && video.getVideoPlaybackQuality().totalVideoFrames > 10", SECONDS)
        edge.await_state(user, "tab", "active")
        tab.wait_for(f"{REPORTS}.some(({{responseStatus}}) => responseStatus === 204)", SECONDS)
        assert tab.evaluate("failures.filter(({status}) => status).length") == 0
