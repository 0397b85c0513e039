"""An app of Adobe Concurrency Monitoring, written from its public documentation: curl's calls, in its order."""

from base64 import b64encode
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from tests.service import Answer, Service

FORM = "application/x-www-form-urlencoded"


class App:
    """One app of one subscriber. *subject* and *idp* are what authentication said, of any characters."""

    def __init__(self, service: Service, subject: str, idp: str = "adobe", application: str = "demo-app") -> None:
        self._service, self.subject = service, subject
        self._path = f"{quote(idp, safe='')}/{quote(subject, safe='')}"
        self._basic = "Basic " + b64encode(f"{application}:".encode()).decode()

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        told = {"Authorization": self._basic, "Content-Type": FORM} | headers
        return self._service.call(method, "/edge/adobe/v2/" + path, body, told)

    def metadata(self) -> Answer:
        return self.call("GET", "metadata")

    def create(self, terminate: str | None = None, **metadata: str) -> Answer:
        headers = {} if terminate is None else {"X-Terminate": terminate}
        return self.call("POST", f"sessions/{self._path}", urlencode(metadata).encode(), **headers)

    def plays(self, channel: str = "news", **metadata: str) -> str:
        """A new session's id, taken raw from `Location`."""
        answer = self.create(channel=channel, **metadata)
        assert (answer.status, answer.body) == (202, b""), answer.body
        return answer.headers["location"]

    def heartbeat(self, session: str, **more: Any) -> Answer:
        return self.call("POST", f"sessions/{self._path}/{session}", **more)

    def stop(self, session: str) -> Answer:
        return self.call("DELETE", f"sessions/{self._path}/{session}")

    def running(self) -> Answer:
        return self.call("GET", f"runningStreams/{self._path}")


def seconds_left(answer: Answer) -> float:
    """How long until the next call, as the documentation says: `Expires` − `Date`."""
    expires, date = (parsedate_to_datetime(answer.headers[name]) for name in ("expires", "date"))
    return (expires - date).total_seconds()
