"""Names of fields in the JSON access logs of Caddy and Traefik, as nginx calls them.

Neither says whether an answer was complete: it was where no less was sent than its `Content-Length`.
"""

from typing import Any

TRAEFIK = {
    "request_uri": "RequestPath",
    "request_method": "RequestMethod",
    "status": "DownstreamStatus",
    "body_bytes_sent": "DownstreamContentSize",
    "sent_http_content_length": "downstream_Content-Length",
}


def in_our_names(told: dict[str, Any]) -> dict[str, Any]:
    """The line as nginx would have told it, as far as it is known to whom it belongs."""
    if isinstance(told.get("request"), dict):
        return _caddys(told, told["request"])
    if "RequestPath" in told:
        return _measured({ours: told.get(theirs) for ours, theirs in TRAEFIK.items()})
    return told


def _caddys(told: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    headers = told.get("resp_headers")
    lengths = headers.get("Content-Length") if isinstance(headers, dict) else None
    found = {
        "request_uri": request.get("uri"),
        "request_method": request.get("method"),
        "status": told.get("status"),
        "body_bytes_sent": told.get("size"),
        "sent_http_content_length": lengths[0] if isinstance(lengths, list) and lengths else None,
        "msec": told.get("ts"),
    }
    return _measured(found)


def _measured(told: dict[str, Any]) -> dict[str, Any]:
    """Complete as far as its length tells; without one nothing is said at all."""
    if not told.get("sent_http_content_length"):
        return {}
    return told | {"request_completion": "OK"}
