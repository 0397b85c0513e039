"""Long made-up streams and clients with addresses of their own, for tests of who watches what from where."""

import http.client
import json
from pathlib import Path
from typing import Any

from tests.service import Answer, Service


def make_long(root: Path, *names: str, segments: int = 60) -> Path:
    """Streams of that many small segments: `000.ts`, `001.ts` …"""
    for name in names:
        folder = root / name
        folder.mkdir(parents=True)
        uris = [f"{n:03}.ts" for n in range(segments)]
        for uri in uris:
            (folder / uri).write_bytes(uri.encode() * 50)
        lines = "".join(f"#EXTINF:2.0,\n{uri}\n" for uri in uris)
        text = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n{lines}#EXT-X-ENDLIST\n"
        (folder / "index.m3u8").write_text(text)
    return root


class Client:
    """Asks from an address of its own: all of 127.0.0.0/8 is this machine."""

    def __init__(self, service: Service, address: str, headers: dict[str, str] | None = None) -> None:
        self._service, self._address, self._headers = service, address, headers or {}

    def call(self, method: str, path: str, form: Any = None, **headers: str) -> Answer:
        line = http.client.HTTPConnection("127.0.0.1", self._service.port, 30, source_address=(self._address, 0))
        try:
            body = None if form is None else json.dumps(form)
            kind = {} if body is None else {"Content-Type": "application/json"}
            line.request(method, path, body, self._headers | kind | headers)
            answer = line.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            line.close()

    def open(self, user: str, session: str, stream: str = "film", **headers: str) -> dict[str, Any]:
        """A playback URL, and what goes with it."""
        form = {"user_id": user, "session_id": session, "stream_id": stream}
        answer = self.call("POST", "/v1/sessions", form, **headers)
        assert answer.status in (200, 201), answer.body
        told: dict[str, Any] = answer.json
        return told

    def play(self, grant: str, stream: str, number: int) -> Answer:
        """One media segment, as a player fetches it."""
        return self.call("GET", f"/play/{grant}/{stream}/{number:03}.ts")
