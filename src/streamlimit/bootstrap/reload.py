"""Reloading of settings on SIGHUP: those that a running worker can change take effect.

The others are named in the log: they need a restart. Where anything is wrong, nothing is changed.
"""

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING

from msgspec import Struct

from streamlimit.bootstrap.access import keys_of
from streamlimit.bootstrap.webhooks import open_endpoints
from streamlimit.errors import SettingsError, StreamlimitError
from streamlimit.logs import EventLog
from streamlimit.settings import Settings, load_again
from streamlimit.web.service import Service

if TYPE_CHECKING:
    from streamlimit.webhooks.dispatcher import WebhookDispatcher

log = EventLog("streamlimit")

TAKEN_OVER = ("plans", "service_keys", "operator_keys", "operator_read_keys", "grant_keys", "callbacks")


class Reread(Struct, frozen=True):
    """The new settings, the names of those that changed, and of those that need a restart."""

    settings: Settings
    changed: list[str]
    needs_restart: list[str]


def read_again(old: Settings) -> Reread:
    """The present settings from the sources of *old*. Raises `SettingsError`."""
    new = load_again(old)
    open_endpoints(new)  # an endpoint at a forbidden address is a wrong setting, too
    differing = [name for name in Settings.model_fields if getattr(new, name) != getattr(old, name)]
    changed = [name for name in differing if name in TAKEN_OVER and _can_change(name, old, new)]
    settings = old.model_copy(update={name: getattr(new, name) for name in changed})
    return Reread(settings, changed, [name for name in differing if name not in changed])


def _can_change(name: str, old: Settings, new: Settings) -> bool:
    """Can the setting *name* change without a restart?

    Grant keys can, unless their source changes between settings and store. Of webhooks only addresses and secrets can,
    since the store's scripts and queues know the endpoints and types.
    """
    if name == "grant_keys":
        return bool(old.grant_keys and new.grant_keys)
    if name == "callbacks":
        return {e.name: e.types for e in open_endpoints(old)} == {e.name: e.types for e in open_endpoints(new)}
    return True


class Reloading:
    """Applies reloaded settings to one worker's parts."""

    def __init__(self, settings: Settings, service: Service, dispatcher: "WebhookDispatcher | None") -> None:
        self._settings, self._service, self._dispatcher = settings, service, dispatcher
        self._had_terminal = has_terminal()

    def begin(self) -> None:
        """Installs the handler of SIGHUP. A signal that came since the start of the process is handled now."""
        if threading.current_thread() is not threading.main_thread():
            return  # embedded in another program, which owns the signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def once(self) -> None:
        """Reads the settings, and applies those that can change."""
        try:
            found = read_again(self._settings)
        except SettingsError as error:
            _log_wrong([error, *error.others])
            return
        self._settings = found.settings
        self._take_over(found)
        note = "what needs a restart is as before" if found.needs_restart else ""
        log.warning("settings_reloaded", changed=found.changed, needs_restart=found.needs_restart, note=note)

    def _take_over(self, found: Reread) -> None:
        settings, service = found.settings, self._service
        service.plans.adopt(settings.plans)
        if "grant_keys" in found.changed:
            service.grants.learn([key.get_secret_value() for key in settings.grant_keys])
        if "callbacks" in found.changed and self._dispatcher is not None:
            self._dispatcher.adopt(open_endpoints(settings))
        if found.changed:
            service.authenticator.adopt(keys_of(settings))

    def _hang_up(self) -> None:
        if self._had_terminal and not has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self.once()


def has_terminal() -> bool:
    """Has this process a terminal? Then SIGHUP means that its window was closed, which stops any command."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _log_wrong(errors: "list[StreamlimitError]") -> None:
    for error in errors:
        name, problem = (error.name, error.problem) if isinstance(error, SettingsError) else ("", str(error))
        log.error("reload_refused", setting=name, problem=problem, note="all settings stay as they were")
