"""For mkdocs: what a page links to outside docs/ (deploy/, bench/, SECURITY.md) is named there, not linked."""

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s:]+)(#[\w-]+)?\)")
DOCS = Path(__file__).parent.parent / "docs"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with links that lead somewhere in the site."""
    folder = (DOCS / page.file.src_uri).parent

    def mended(match: re.Match[str]) -> str:
        words, target, place = match[1], match[2], match[3] or ""
        path = (folder / target).resolve()
        if path.is_dir() and path.is_relative_to(DOCS):
            first = min(path.glob("*.md"))
            return f"[{words}]({target.rstrip('/')}/{first.name})"
        if path.is_relative_to(DOCS):
            return match[0] if place == "" or path.suffix == ".md" else f"[{words}]({target})"
        named = path.relative_to(DOCS.parent)
        return f"`{named}`" if words.strip("`") in str(named) else f"{words} (`{named}`)"

    return LINK.sub(mended, markdown)
