"""The HTML pages and their files, all from the package: no other host is asked."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec import Struct

from streamlimit.web.calls import ServiceDep
from streamlimit.web.problems import Problem
from streamlimit.web.service import Service

router = APIRouter(include_in_schema=False)
shared = APIRouter(tags=["service"])
"""Routes that exist whatever is configured."""

MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}
"""Suffixes of the files that are served from `static/`, with their content types."""

ALWAYS = (
    "docs.js",
    "favicon.svg",
    "problem.css",
    "vendor/swagger-ui",
    "console",
    "calls.js",
    "dom.js",
    "page.css",
    "vendor/uPlot",
)
"""Prefixes of the files of `/docs`, `/problems` and `/console`, pages that exist without streams, too."""

PAGE_HEADERS = {
    # Scripts and styles only as files of the package; hls.js plays from blob: and runs its worker from one.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; worker-src blob:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}

DOCS_HEADERS = {
    "Content-Security-Policy": PAGE_HEADERS["Content-Security-Policy"].replace("img-src 'self'", "img-src 'self' data:")
}
"""Swagger UI keeps its icons in its stylesheet."""

_environment = Environment(
    loader=PackageLoader("streamlimit.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


class StaticFile(Struct, frozen=True):
    """A file of the pages, in memory: they are few, small and do not change while the service runs."""

    body: bytes
    media_type: str
    etag: str


@router.get("/")
async def home(service: ServiceDep) -> Response:
    """There is one page so far."""
    _require_pages(service)
    return RedirectResponse("/watch", 307)


@router.get("/watch")
async def watch(service: ServiceDep) -> Response:
    """Players of one user, who holds the seats, and why the next one waits."""
    _require_pages(service)
    numbers = {
        "segment_seconds": service.settings.segment_seconds,
        "missed_segments": service.settings.missed_segments,
    }
    return page("watch.html", settings=numbers)


@router.get("/docs")
async def docs() -> Response:
    """`/openapi.json` as a page to read and to try."""
    return page("docs.html", DOCS_HEADERS)


@router.get("/static/{name:path}")
async def static(name: str, request: Request, service: ServiceDep) -> Response:
    """A file of the pages. Always asked for again, seldom sent again: the ETag is of its content."""
    if not name.startswith(ALWAYS):
        _require_pages(service)
    return _file(name, request)


@shared.get("/client.js")
async def client(request: Request) -> Response:
    """The client for players in pages, of any origin: there whether or not anything plays here."""
    return _file("client.js", request)


@router.get("/favicon.ico")
async def favicon(request: Request, service: ServiceDep) -> Response:
    """For browsers that show an answer in JSON and ask for one all the same."""
    _require_pages(service)
    return _file("favicon.svg", request)


def _require_pages(service: Service) -> None:
    if not service.has_streams:
        raise Problem("not-found", "there is no page here, for no streams are set")


def page(template: str, headers: dict[str, str] | None = None, **values: Any) -> Response:
    """A page made of *template*, with the headers of all pages and its own."""
    html = _environment.get_template(template).render(values)
    return Response(html, headers=PAGE_HEADERS | (headers or {}), media_type="text/html")


def _file(name: str, request: Request) -> Response:
    found = static_files().get(name)
    if found is None:
        raise Problem("not-found", "the pages have no such file")
    headers = {"ETag": found.etag, "Cache-Control": "no-cache"}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.media_type)


@cache
def static_files() -> dict[str, StaticFile]:
    """Every served file by its path under `/static/`; any other name is unknown."""
    return dict(_walk(files("streamlimit.web") / "static", ""))


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, StaticFile]]:
    found = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found += _walk(entry, name + "/")
        elif media_type := MEDIA_TYPES.get("." + name.rpartition(".")[2]):
            body = entry.read_bytes()
            found.append((name, StaticFile(body, media_type, f'"{sha256(body).hexdigest()[:20]}"')))
    return found
