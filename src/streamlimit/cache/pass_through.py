"""A store that delegates to another one: the part of `CachingStore` that needs no cache."""

from streamlimit.model import FOR_GOOD, Event, LimitPage, OwnLimit, Page, Receipt, Roster, Swept, Terms
from streamlimit.store.contract import Answer, Events, OnVerdict, Store


class PassThrough:
    """A `Store` whose calls go to *store* unchanged: rosters and limits are never answered from a cache."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def report(self, receipt: Receipt, callback: OnVerdict) -> None:
        """As the store's."""
        self.store.report(receipt, callback)

    def lose_again(self, event: Event, keep_grant: bool = False) -> Answer[Events]:
        """As the store's."""
        return self.store.lose_again(event, keep_grant)

    def expire(self, at_most: int) -> Answer[Swept]:
        """As the store's."""
        return self.store.expire(at_most)

    def sessions(self, user_id: str) -> Answer[Roster]:
        """As the store's."""
        return self.store.sessions(user_id)

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Answer[Page]:
        """As the store's."""
        return self.store.browse(cursor, at_most, user_id, stream_id, state)

    def own_limit(self, user_id: str) -> Answer[OwnLimit | None]:
        """As the store's."""
        return self.store.own_limit(user_id)

    def set_limit(self, user_id: str, max_sessions: int | None, terms: Terms = FOR_GOOD) -> Answer[None]:
        """As the store's."""
        return self.store.set_limit(user_id, max_sessions, terms)

    def limits(self, cursor: str | None, at_most: int) -> Answer[LimitPage]:
        """As the store's."""
        return self.store.limits(cursor, at_most)

    def pending(self) -> Answer[int]:
        """As the store's."""
        return self.store.pending()

    def ping(self) -> Answer[None]:
        """As the store's."""
        return self.store.ping()

    def close(self) -> Answer[None]:
        """As the store's."""
        return self.store.close()
