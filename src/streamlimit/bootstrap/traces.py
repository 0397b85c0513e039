"""OpenTelemetry traces (`traces` in the settings, `pip install 'streamlimit[traces]'`): one span a request.

Where they are off nothing is imported, and requests are handled without any wrapper. A span is named by its call, never
by its path, which may hold a grant.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from streamlimit.errors import SettingsError
from streamlimit.http.connection import Handler
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request

Finish = Callable[[], None]


def traced(endpoint: str | None, handle: Handler) -> tuple[Handler, Finish]:
    """*handle* with a span per request, sent to the OTLP *endpoint* (None: unchanged), and the end of that."""
    if endpoint is None:
        return handle, _nothing
    provider = open_provider(endpoint)
    return Traced(handle, provider.get_tracer("streamlimit")).handle, provider.shutdown


def open_provider(endpoint: str) -> Any:
    """The provider, which sends spans in batches from its own thread.

    Raises `SettingsError`.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError("traces", "is an extra: pip install 'streamlimit[traces]'") from error
    provider = TracerProvider(resource=Resource.create({"service.name": "streamlimit"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces")))
    return provider


class Traced:
    """Handles requests by *inner*, each in a span of *tracer*, a child of the request's `traceparent`."""

    def __init__(self, inner: Handler, tracer: Any) -> None:
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        self._inner, self._tracer, self._extract, self._kind = inner, tracer, extract, SpanKind.SERVER

    def handle(self, request: Request, exchange: Exchange) -> Awaitable[None] | None:
        carrier = {"traceparent": request.header(b"traceparent") or ""}
        route = route_of(request.method, request.path)
        attributes = {"http.request.method": request.method, "http.route": route}
        span = self._tracer.start_span(
            f"{request.method} {route}", context=self._extract(carrier), kind=self._kind, attributes=attributes
        )
        _note_status(exchange, span)
        work = self._inner(request, exchange)
        if work is None:
            span.end()
            return None
        return _until(work, span)


async def _until(work: Awaitable[None], span: Any) -> None:
    try:
        await work
    finally:
        span.end()


def _note_status(exchange: Exchange, span: Any) -> None:
    """Has the answer's status set in the span. Repeated requests are not answered unread, so they have spans, too."""

    def noting(begin: Callable[..., None]) -> Callable[..., None]:
        def begun(status: int, *more: Any) -> None:
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_attribute("error.type", str(status))
            begin(status, *more)

        return begun

    exchange.whole, exchange.start = noting(exchange.whole), noting(exchange.start)  # type: ignore[method-assign]
    exchange.again = _is_read  # type: ignore[method-assign, assignment]


_patterns: list[tuple[re.Pattern[str], str]] = []


def route_of(method: str, path: str) -> str:
    """The call's path with the names of its parameters; `other` for an unknown path."""
    if not _patterns:
        from streamlimit.web.contract import OPERATIONS

        _patterns.extend((_pattern(name), name.partition(" ")[2]) for name in OPERATIONS)
    asked = f"{'GET' if method == 'HEAD' else method} {path}"
    return next((route for pattern, route in _patterns if pattern.fullmatch(asked)), "other")


def _pattern(name: str) -> re.Pattern[str]:
    """The pattern of a call: `{path}` may have slashes, other parameters none; edges may use any method."""
    method, _, path = name.partition(" ")
    parts = re.sub(r"\\{(\w+)\\}", lambda found: ".+" if found[1] == "path" else "[^/]+", re.escape(path))
    return re.compile((r"\w+" if path.startswith(("/edge/auth", "/edge/envoy")) else method) + " " + parts)


def _is_read(_: object) -> None:
    """Ignores an answer for repeated requests."""


def _nothing() -> None:
    """Ends nothing: traces are off."""
