"""Sessions of a kind of device, page by page: none is lost between two pages, and no page looks for ever."""

import asyncio
from collections.abc import Callable

import pytest

from streamlimit.model import Device, Page, Session, State
from streamlimit.web import browsing
from streamlimit.web.browsing import Filters, browse

USERS = 40


def session(user: int, seat: int) -> Session:
    device = Device(id=f"d{seat}", name=("Living-room TV", "Phone", "Pad")[seat], type=None)
    return Session(f"s{seat}", f"u{user:02}", "clock", State.ACTIVE, device, None, None, 0, 0, 60_000, seat, 0)


class Shelf:
    """A store's `browse`: whole users, at least so many sessions."""

    def __init__(self, holds: Callable[[int, int], bool]) -> None:
        self.asked = 0
        self._users = [[session(u, s) for s in range(3) if holds(u, s)] for u in range(USERS)]

    def browse(self, cursor: str | None, limit: int, *_filters: str | None) -> Page:
        self.asked += 1
        at, found = int(cursor or 0), list[Session]()
        user_id = _filters[0]
        if user_id is not None:
            return Page(tuple(each for user in self._users for each in user if each.user_id == user_id), None)
        while at < USERS and len(found) < limit:
            found += self._users[at]
            at += 1
        return Page(tuple(found), str(at) if at < USERS else None)


def all_of(shelf: Shelf, device: str, limit: int) -> list[list[str]]:
    async def walk() -> list[list[str]]:
        pages, cursor = [], None
        while True:
            found, cursor = await browse(shelf, cursor, limit, Filters(None, None, None, device))  # type: ignore[arg-type]
            pages.append([f"{each.user_id}/{each.session_id}" for each in found])
            if cursor is None:
                return pages

    return asyncio.run(walk())


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50, 1_000])
@pytest.mark.parametrize("device", ["phone", "d", "living-room"])
def test_every_session_of_the_device_is_on_one_page(limit: int, device: str) -> None:
    shelf = Shelf(lambda u, s: (u + s) % 3 != 0 or u % 5 == 0)
    pages = all_of(shelf, device, limit)
    wanted = [
        f"u{u:02}/s{s}"
        for u in range(USERS)
        for s in range(3)
        if ((u + s) % 3 != 0 or u % 5 == 0) and (device == "d" or device in ("living-room tv", "phone", "pad")[s])
    ]
    assert [each for page in pages for each in page] == wanted
    assert all(len(page) <= limit for page in pages)


def test_a_page_gives_up_looking_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "MOST_LOOKED", 30)
    pages = all_of(Shelf(lambda u, s: True), "no such device", 10)
    assert pages == [[]] * len(pages)
    assert len(pages) > 3
