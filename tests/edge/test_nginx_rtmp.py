"""deploy/nginx-rtmp.conf as it is, with Debian's nginx-rtmp, ffmpeg as publisher and as players."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.edge.between import Between, Post
from tests.edge.calls import Viewer
from tests.edge.programs import DEPLOY, paused, running
from tests.needs import needs
from tests.ports import free_port
from tests.service import OPERATOR_KEY, started, temporary_folder, wait_until

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
FFMPEG = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin"]
CAMERA = ["-re", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=10", "-c:v", "flv", "-g", "10", "-f", "flv"]


class Server:
    """A running nginx-rtmp with a camera, in front of *between* and its service."""

    def __init__(self, between: Between, port: int, stack: ExitStack, folder: Path) -> None:
        self.between, self.service, self._stack, self._folder = between, between.service, stack, folder
        self._url = f"rtmp://127.0.0.1:{port}/live/cam"
        self.camera = self._ffmpeg("camera", [*CAMERA, self._url])

    def player(self, viewer: Viewer) -> "subprocess.Popen[bytes]":
        return self._ffmpeg(viewer.session, ["-i", f"{self._url}?grant={viewer.grant}", "-f", "flv", "-y", "/dev/null"])

    def viewer(self, session: str) -> Viewer:
        return Viewer(self.service, "u", session, "cam")

    def _ffmpeg(self, name: str, arguments: list[str]) -> "subprocess.Popen[bytes]":
        out = self._stack.enter_context((self._folder / f"{name}.log").open("wb"))
        process = subprocess.Popen([*FFMPEG, *arguments], stdout=out, stderr=out)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


@contextmanager
def nginx_rtmp(folder: Path, between: Between) -> Iterator[Server]:
    port, hooks = free_port(), free_port()
    text = (DEPLOY / "nginx-rtmp.conf").read_text()
    for old, new in {
        "modules/ngx_rtmp_module.so": str(MODULE),
        "listen 1935;": f"listen 127.0.0.1:{port};",
        "127.0.0.1:8099": f"127.0.0.1:{hooks}",
        "127.0.0.1:8080": f"127.0.0.1:{between.port}",
        "/var/log/nginx": str(folder),
        "notify_update_timeout 6s": "notify_update_timeout 1s",
    }.items():
        assert old in text
        text = text.replace(old, new)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {", f"http {{ {paths}", 1)
    head = f"daemon off;\npid {folder}/nginx.pid;\n" + ("user root;\n" if os.geteuid() == 0 else "")
    (folder / "nginx.conf").write_text(head + text)
    command = ["nginx", "-e", f"{folder}/nginx-error.log", "-c", f"{folder}/nginx.conf"]
    with running(command, port, folder / "nginx.out"), ExitStack() as stack:
        yield Server(between, port, stack, folder)


@pytest.fixture
def server() -> Iterator[Server]:
    needs("nginx")
    needs("ffmpeg")
    if not MODULE.exists():
        assert "CI" not in os.environ, "libnginx-mod-rtmp is not installed"
        pytest.skip("libnginx-mod-rtmp is not installed")
    with temporary_folder() as folder:
        settings = {"ledger_streams": "any", "trusted_proxies": ["127.0.0.1"], "segment_seconds": 4}
        with started(folder, **settings) as service:
            between = Between(service)
            with between.running(), nginx_rtmp(folder, between) as server:
                yield server


def test_the_fourth_is_refused_the_terminated_is_kicked_and_the_camera_goes_on(server: Server) -> None:
    four = server.viewer("late")
    server.service.post("/v1/users/u/sessions/late/end", {"keep_grant": True})
    viewers = [server.viewer(str(number)) for number in range(3)]
    players = [server.player(viewer) for viewer in viewers]
    for viewer in viewers:
        _await_activity(viewer, None)
    assert server.player(four).wait(20) != 0
    assert four.state() is None

    server.service.call("DELETE", "/v1/users/u/sessions/1?reason=x", key=OPERATOR_KEY)
    known = len(server.between.posts)
    players[1].wait(60)
    (update,) = _updates(server, viewers[1], known)  # the first one cuts, so there is no second
    assert update.status == 410
    with paused(server.service):
        assert [player.poll() for player in (players[0], players[2], server.camera)] == [None] * 3
        _wait(players[0], 4)
    assert [player.poll() for player in (players[0], players[2], server.camera)] == [None] * 3
    for viewer in (viewers[0], viewers[2]):
        _await_activity(viewer, _activity(viewer))

    players[0].terminate()
    wait_until(lambda: viewers[0].state() is None, 20, "the seat of who left to be free")
    assert server.camera.poll() is None


def _updates(server: Server, viewer: Viewer, known: int) -> list[Post]:
    """The viewer's updates that the module has sent since so many calls."""
    forms = [(post, parse_qs(post.body.decode())) for post in server.between.posts[known:]]
    return [post for post, form in forms if form["call"] == ["update_play"] and form["grant"] == [viewer.grant]]


def _activity(viewer: Viewer) -> str | None:
    found = viewer.state()
    return None if found is None else found["last_activity_at"]


def _await_activity(viewer: Viewer, before: str | None) -> None:
    wait_until(lambda: _activity(viewer) not in (None, before), 20, f"an update of {viewer.session}")


def _wait(player: "subprocess.Popen[bytes]", seconds: float) -> None:
    """As long as that, unless it ends."""
    try:
        player.wait(seconds)
    except subprocess.TimeoutExpired:
        return
