"""What an edge asks, as the tests send it."""

import secrets
from typing import Any

from tests.service import Answer, Service


class Viewer:
    """One session with its grant, as an edge sees its requests."""

    def __init__(self, service: Service, user: str, session: str, stream: str = "elsewhere") -> None:
        self.service, self.user, self.session, self.stream = service, user, session, stream
        form = {"user_id": user, "session_id": session, "stream_id": stream}
        answer = service.post("/v1/sessions", form)
        self.opened = answer
        self.grant: str = answer.json.get("grant", "")

    def uri(self, path: str, stream: str | None = None) -> str:
        return f"/play/{self.grant}/{stream or self.stream}/{path}"

    def ask(self, path: str, stream: str | None = None, method: str = "GET", **headers: str) -> Answer:
        """`/edge/auth` for one of the stream's files."""
        return auth(self.service, self.uri(path, stream), method, **headers)

    def state(self) -> dict[str, Any] | None:
        """The session, as who watches sees it; None: it holds no seat."""
        sessions = self.service.watching(self.user)["sessions"]
        return next((each for each in sessions if each["session_id"] == self.session), None)


def auth(service: Service, uri: str, method: str = "GET", **headers: str) -> Answer:
    """`/edge/auth` for any URI, as nginx asks."""
    told = {"X-Original-URI": uri, "X-Original-Method": method}
    return service.get("/edge/auth", headers=told | {name.replace("_", "-"): value for name, value in headers.items()})


def some_user() -> str:
    return "u-" + secrets.token_hex(4)
