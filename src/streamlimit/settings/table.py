"""The table of all settings: names, types, defaults, checks across settings, and derived values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from streamlimit.policy import OUTBOX_MAX_EVENTS, OverLimit, Policy, Reclaim
from streamlimit.settings.adobe import AdobeSettings
from streamlimit.settings.callback import EVENT_TYPES, Callbacks
from streamlimit.settings.cdn import CdnSettings
from streamlimit.settings.jwt import JwtSettings
from streamlimit.settings.keys import GrantKeys, Keys, OperatorKey, OperatorKeys, hashes
from streamlimit.settings.kinds import (
    LONGEST_SECONDS,
    AccelPrefix,
    Address,
    EdgeLog,
    Lasting,
    Outage,
    Proxy,
    PublicUrl,
    Seats,
    Seconds,
    StoreUrl,
    StreamsPlace,
    Takeover,
    is_loopback,
    is_origin,
    require_no_boolean,
)
from streamlimit.settings.sources import PREFIX, File, Variables


class Settings(BaseSettings):
    """All settings, checked. Times in seconds; `None` where another setting's value is the default."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    listen: Address = Field("127.0.0.1:8080", description="host:port, or the path of a Unix socket")
    workers: int = Field(1, ge=1, le=256, description="worker processes")
    streams: StreamsPlace | None = Field(
        None, description="folder of streams (each subfolder with a playlist is one), or the URL of an HTTP origin"
    )
    origin_seconds: Seconds | None = Field(
        None, description="how long an HTTP origin may take for its first byte, and between bytes (default X)"
    )
    ledger_streams: Literal["catalog", "any"] = Field(
        "catalog", description="any: sessions and grants also for streams that are in no folder of ours"
    )
    public_url: PublicUrl | None = Field(None, description="the address players see; makes playback URLs absolute")
    store: StoreUrl = Field("sqlite:///streamlimit.db", description="where sessions are kept")
    max_sessions: int = Field(3, ge=1, le=64, description="streams that one user may watch at once")
    plans: dict[str, Seats] = Field({}, description="plans by name: what max_sessions is for their users")
    max_per_stream: Seats | None = Field(None, description="sessions of one user on the same stream")
    max_per_device_type: dict[str, Seats] = Field({}, description="sessions of one user by type of device")
    enforce: bool = Field(True, description="false: a dry run, which decides and counts and refuses no request")
    segment_seconds: Lasting = Field(6, description="X: how long one segment plays")
    missed_segments: int = Field(3, ge=1, le=1_000, description="n: a session silent for n·X expires")
    start_seconds: Lasting | None = Field(None, description="life of a reservation (default X)")
    buffer_seconds: float = Field(0, ge=0, le=86_400, description="buffered media added to the expiry, at most")
    paused_seconds: float = Field(
        0, ge=0, le=86_400, description="how long a session that says it is paused may sit beyond n·X"
    )
    max_returns: int = Field(2, ge=0, le=1_000, description="returns and repeats within n·X; 0: not looked at")
    visit_burst: int = Field(
        60, ge=0, le=10_000, description="visits a seat that a user may make at once; 0: they are not counted"
    )
    over_limit: OverLimit = Field(OverLimit.REFUSE, description="who gives way when all seats are taken")
    on_store_outage: Outage = Field("keep-known", description="what to do while the store is unavailable")
    outage_seconds: float = Field(
        0, ge=0, le=86_400, description="how much longer active sessions keep their seats in an outage"
    )
    reclaim_device: Takeover = Field(
        Reclaim.SILENT, description="when a new session takes its device's old seat: once silent, always, never"
    )
    grant_keys: GrantKeys = Field([], description="keys of grants: the first signs, all verify")
    grant_seconds: Seconds = Field(86_400, description="how long a grant may start a session")
    sweep_seconds: float | None = Field(None, ge=0, le=86_400, description="built-in sweep (default X); 0: none")
    grant_address: bool = Field(False, description="a grant counts only near the address it was given to")
    allow_open: bool = Field(False, description="open access beyond loopback is meant")
    auth: Literal["open", "jwt"] = Field("open", description="who may call: open (anyone), jwt (who has a token)")
    jwt: JwtSettings | None = Field(None, description="how viewers' tokens are verified (auth = jwt)")
    service_keys: Keys = Field([], description="keys of back ends that speak for any user")
    operator_keys: OperatorKeys = Field(
        [], description="keys of operators: {name, role, hash}, or sha256:<hex>, or plain"
    )
    operator_read_keys: Keys = Field([], description="keys that may look at everything")
    trusted_proxies: list[Proxy] = Field([], description="whose X-Forwarded-For counts: addresses, networks, unix")
    deliver: Literal["bytes", "accel", "redirect"] = Field(
        "bytes",
        description="who moves the bytes of /play: bytes (streamlimit), accel (nginx, by X-Accel-Redirect), "
        "redirect (a CDN, by a signed URL)",
    )
    accel_prefix: AccelPrefix = Field("/_streams/", description="nginx's internal location of the streams")
    cdn: CdnSettings | None = Field(None, description="the CDN that players are sent to (deliver = redirect)")
    edge_cache_seconds: float | None = Field(
        None, ge=0, le=3_600, description="how long an edge may keep a yes (default X/2); below 1: not at all"
    )
    edge_log: EdgeLog | None = Field(
        None,
        description="where access-log lines of an edge are listened for: unix:<path>, udp://host:port; "
        "or the file that it writes them to: file:<path>",
    )
    adobe: AdobeSettings = Field(
        AdobeSettings(), description="apps written for Adobe Concurrency Monitoring (/edge/adobe/v2/…)"
    )
    ome_secret: SecretStr | None = Field(
        None,
        min_length=1,
        description="SecretKey of OvenMediaEngine's admission webhook; then it may call from anywhere",
    )
    srs_api: PublicUrl | None = Field(None, description="SRS's HTTP API, by which a viewer who lost the seat is cut")
    mediamtx_api: PublicUrl | None = Field(
        None, description="MediaMTX's API, by which a viewer who lost the seat is cut"
    )
    connections_per_address: int = Field(1_000, ge=0, description="open connections of one address; 0: any number")
    request_seconds: float = Field(10, gt=0, le=3_600, description="time for a request's head, and for its body")
    cors_origins: list[str] = Field(["*"], description="origins whose pages may call")
    callbacks: Callbacks = Field([], description="endpoints that events are sent to")
    allow_private_callbacks: bool = Field(False, description="webhooks to private and loopback addresses")
    outbox_max_events: int = Field(
        OUTBOX_MAX_EVENTS, ge=1, description="events that may wait for the webhooks of one endpoint"
    )
    report_days: int = Field(400, ge=0, le=3_650, description="how many days reports are kept; 0: nothing is counted")
    history_events: int = Field(
        50, ge=0, le=1_000, description="last events and refusals that are kept of each user; 0: none"
    )
    traces: PublicUrl | None = Field(
        None, description="a collector of OpenTelemetry (OTLP over HTTP) that gets a span of each request"
    )
    drain_seconds: float = Field(10, ge=0, le=3_600, description="how long running segments may take at a stop")

    _flags: Mapping[str, Any] = PrivateAttr(default_factory=dict)
    _made: Mapping[str, Any] = PrivateAttr(default_factory=dict)
    _file: Path | None = PrivateAttr(None)

    @property
    def flags(self) -> Mapping[str, Any]:
        """The values given as flags."""
        return self._flags

    @property
    def made(self) -> Mapping[str, Any]:
        """Values made for this run, which hold where no source gives one."""
        return self._made

    @property
    def file(self) -> Path | None:
        """The file that the settings were read from; None: there was none."""
        return self._file

    def given_by(self, flags: Mapping[str, Any], file: Path | None) -> "Settings":
        """Notes the *flags* and the *file* that these settings came from, and returns them."""
        self._flags, self._file = flags, file
        return self

    def made_for_this_run(self, values: Mapping[str, Any]) -> "Settings":
        """A copy with *values* where no source gives one, also after reading again."""
        missing = {name: value for name, value in values.items() if not self._says(name)}
        settings = self.model_copy(update=missing)
        settings._made = {**self._made, **missing}
        return settings

    def _says(self, name: str) -> bool:
        return name in self.model_fields_set and getattr(self, name) != []

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of sources: flags (keywords), then the environment, then the file."""
        return init_settings, Variables(settings_cls), File(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _only_switches_are_on_or_off(cls, value: Any, about: ValidationInfo) -> Any:
        kind = cls.model_fields[str(about.field_name)].annotation
        return value if kind in (bool, Reclaim) else require_no_boolean(value)

    # A check of several settings stands at the last of them, as they are listed: it sees those before that are right,
    # so that all that is wrong is reported at once, and nothing that only follows from it.

    @field_validator("missed_segments")
    @classmethod
    def _a_seat_lasts_no_longer(cls, value: int, others: ValidationInfo) -> int:
        if value * others.data.get("segment_seconds", 0) > LONGEST_SECONDS:
            raise ValueError(f"n·X, with segment_seconds, is at most {LONGEST_SECONDS // 86_400} days")
        return value

    @field_validator("auth")
    @classmethod
    def _open_is_meant(cls, value: str, others: ValidationInfo) -> str:
        is_reached = "listen" in others.data and not is_loopback(others.data["listen"])
        if value == "open" and is_reached and not others.data.get("allow_open", True):
            raise ValueError("open access is for loopback only; set allow_open = true if it is meant")
        return value

    @field_validator("jwt")
    @classmethod
    def _tokens_can_be_verified(cls, value: JwtSettings | None, others: ValidationInfo) -> JwtSettings | None:
        if value is None and others.data.get("auth") == "jwt":
            raise ValueError('auth = "jwt" needs jwks_url or secret_file in it')
        secret = None if value is None else value.secret
        grant_keys = [key.get_secret_value().encode() for key in others.data.get("grant_keys", [])]
        if secret in grant_keys:
            raise ValueError("its secret_file is one of grant_keys, too: who makes tokens makes grants")
        return value

    @field_validator("cdn")
    @classmethod
    def _there_is_a_cdn(cls, value: CdnSettings | None, others: ValidationInfo) -> CdnSettings | None:
        if value is None and others.data.get("deliver") == "redirect":
            raise ValueError('deliver = "redirect" needs kind, url and key in it')
        return value

    @field_validator("operator_keys", "operator_read_keys")
    @classmethod
    def _keys_are_of_one_role(
        cls, value: list[SecretStr | OperatorKey], others: ValidationInfo
    ) -> list[SecretStr | OperatorKey]:
        for name in ("service_keys", "operator_keys"):
            if hashes(value) & hashes(others.data.get(name, [])):
                raise ValueError(f"a key of {name}: each role needs keys of its own")
        return value

    @property
    def is_loopback(self) -> bool:
        """Is the listening address reached by this machine only?"""
        return is_loopback(self.listen)

    @property
    def segment_ms(self) -> int:
        """X in milliseconds."""
        return _ms(self.segment_seconds)

    @property
    def has_origin(self) -> bool:
        """Are the streams' files at an HTTP origin, not in a folder?"""
        return self.streams is not None and is_origin(self.streams)

    @property
    def origin_wait(self) -> float:
        """The time-out for an origin, in seconds."""
        return self.segment_seconds if self.origin_seconds is None else self.origin_seconds

    @property
    def sweep_every_seconds(self) -> float:
        """The interval of the built-in sweep in seconds; 0: never."""
        return self.segment_seconds if self.sweep_seconds is None else self.sweep_seconds

    @property
    def edge_cache(self) -> int:
        """How long an edge may cache an admission, in whole seconds."""
        return int(self.segment_seconds / 2 if self.edge_cache_seconds is None else self.edge_cache_seconds)

    @property
    def public_path(self) -> str:
        """The path prefix of `public_url`."""
        return urlsplit(self.public_url or "").path

    @property
    def subscribed(self) -> frozenset[str]:
        """The event types of all webhooks."""
        return frozenset(t for callback in self.callbacks for t in callback.types or EVENT_TYPES)

    def policy(self) -> Policy:
        """The policy: the numbers of the rules."""
        return Policy(
            max_sessions=self.max_sessions,
            segment_ms=self.segment_ms,
            missed_segments=self.missed_segments,
            start_ms=self.segment_ms if self.start_seconds is None else _ms(self.start_seconds),
            buffer_ms=_ms(self.buffer_seconds),
            max_returns=self.max_returns,
            visit_burst=self.visit_burst,
            over_limit=self.over_limit,
            reclaim_device=self.reclaim_device,
            max_per_stream=self.max_per_stream,
            max_per_device_type=self.max_per_device_type,
            enforce=self.enforce,
            grant_ms=_ms(self.grant_seconds),
        )


def _ms(seconds: float) -> int:
    return max(round(seconds * 1_000), 1) if seconds else 0
