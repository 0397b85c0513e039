"""Translation of the JSON access logs of Caddy and Traefik into nginx's field names.

Neither logs whether an answer was complete: it was if no less than its `Content-Length` was sent.
"""

from typing import Any

TRAEFIK = {
    "request_uri": "RequestPath",
    "request_method": "RequestMethod",
    "status": "DownstreamStatus",
    "body_bytes_sent": "DownstreamContentSize",
    "sent_http_content_length": "downstream_Content-Length",
}


def in_our_names(line: dict[str, Any]) -> dict[str, Any]:
    """*line* with the field names of nginx's log; unchanged where the edge is not recognised."""
    if isinstance(line.get("request"), dict):
        return _caddys(line, line["request"])
    if "RequestPath" in line:
        return _measured({ours: line.get(theirs) for ours, theirs in TRAEFIK.items()})
    return line


def _caddys(line: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    headers = line.get("resp_headers")
    lengths = headers.get("Content-Length") if isinstance(headers, dict) else None
    found = {
        "request_uri": request.get("uri"),
        "request_method": request.get("method"),
        "status": line.get("status"),
        "body_bytes_sent": line.get("size"),
        "sent_http_content_length": lengths[0] if isinstance(lengths, list) and lengths else None,
        "msec": line.get("ts"),
    }
    return _measured(found)


def _measured(line: dict[str, Any]) -> dict[str, Any]:
    """The line with its completeness by its length; without a length, without that."""
    if not line.get("sent_http_content_length"):
        return {}
    return line | {"request_completion": "OK"}
