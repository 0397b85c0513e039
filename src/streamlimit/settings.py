"""streamlimit.toml, then STREAMLIMIT_… variables, then flags: typed, checked values. Reads nothing else.

Each setting is explained for operators in deploy/streamlimit.toml.
"""

import os
import re
import tomllib
from base64 import b64decode
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from streamlimit.errors import SettingsError
from streamlimit.policy import OverLimit, Policy

PREFIX = "STREAMLIMIT_"
CONFIG_FILE = "streamlimit.toml"
LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[?::1\]?")
STORE_URL = re.compile(r"sqlite:///.|(valkeys?|rediss?)(\+cluster|\+sentinel)?://.")

EVENT_TYPES = (
    "session.started",
    "session.moved",
    "session.expired",
    "session.ended",
    "session.terminated",
    "session.abandoned",
    "session.refused",
)

Outage = Literal["keep-known", "admit-all", "refuse-all"]
Seats = Annotated[int, Field(ge=1, le=64)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365)]


class Callback(BaseModel):
    """One endpoint that is called back. *types* None: all. *name*: in logs and commands, and in the outbox.

    *secret*: `whsec_<base64>` (Standard Webhooks) or any text; of a list each makes a signature (rotation).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://[^\s/?#]+[^\s]*$")
    secret: SecretStr | list[SecretStr]
    types: list[Literal[EVENT_TYPES]] | None = None  # type: ignore[valid-type]
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9._~:@-]{1,64}$")

    @property
    def secrets(self) -> list[str]:
        """All of them, in plain."""
        given = self.secret if isinstance(self.secret, list) else [self.secret]
        return [secret.get_secret_value() for secret in given]

    @model_validator(mode="after")
    def _secrets_are_keys(self) -> "Callback":
        if not self.secrets or not all(self.secrets):
            raise ValueError("a call back needs a secret")
        for secret in self.secrets:
            if secret.startswith("whsec_") and not _is_base64(secret.removeprefix("whsec_")):
                raise ValueError("what follows whsec_ must be base64; any other text is taken as it is")
        return self


class JwtSettings(BaseModel):
    """`auth = "jwt"`: how viewers' tokens are verified, and what their claims are called."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jwks_url: str | None = Field(None, description="the provider's public keys; https, or http on loopback")
    secret_file: Path | None = Field(None, description="instead: a file with the shared secret of HS256")
    issuer: str | None = Field(None, description="what `iss` must be; left out: not looked at")
    audience: str | None = Field(None, description="what `aud` must be or contain; left out: not looked at")
    user_claim: str = Field("sub", min_length=1, description="the claim that names the user")
    limit_claim: str = Field("streamlimit_limit", min_length=1, description="the claim with the user's limit")
    plan_claim: str = Field("streamlimit_plan", min_length=1, description="the claim that names the user's plan")
    streams_claim: str = Field("streamlimit_streams", min_length=1, description="the claim that lists the streams")
    leeway_seconds: float = Field(30, ge=0, le=600, description="how far clocks may differ")
    jwks_seconds: float = Field(600, ge=1, le=86_400, description="how often the provider's keys are fetched")
    jwks_stale_seconds: float = Field(86_400, ge=1, description="how long keys count while the provider is away")

    @field_validator("jwks_url")
    @classmethod
    def _url_is_safe(cls, value: str | None) -> str | None:
        if value is not None and not re.match(rf"https://[^\s/?#]|http://({LOOPBACK.pattern})(:\d+)?(/|$)", value):
            raise ValueError("give https://…, or http://… on loopback: who changes the keys lets anyone in")
        if value is not None and urlsplit(value).port == 0:  # `port` itself says what is wrong with others
            raise ValueError("there is no port 0")
        return value

    @field_validator("secret_file")
    @classmethod
    def _secret_is_long(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                secret = value.read_bytes().strip()
            except OSError as error:
                raise ValueError(f"{value} cannot be read: {error.strerror}") from error
            if len(secret) < 32:
                raise ValueError("a secret of HS256 has at least 32 bytes")
        return value

    @model_validator(mode="after")
    def _keys_are_of_one_kind(self) -> "JwtSettings":
        if (self.jwks_url is None) == (self.secret_file is None):
            raise ValueError("give jwks_url or secret_file, one of the two")
        return self

    @property
    def secret(self) -> bytes | None:
        """The shared secret, where there is one."""
        return None if self.secret_file is None else self.secret_file.read_bytes().strip()


class Settings(BaseSettings):
    """All settings, checked. Times in seconds; `None` where another setting's value is the default."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    listen: str = Field("127.0.0.1:8080", description="host:port, or the path of a Unix socket")
    workers: int = Field(1, ge=1, le=256, description="worker processes")
    streams: str | None = Field(None, description="folder of streams; each subfolder with a playlist is one")
    store: str = Field("sqlite:///streamlimit.db", description="where sessions are kept")
    max_sessions: int = Field(3, ge=1, le=64, description="streams that one user may watch at once")
    plans: dict[str, Seats] = Field({}, description="plans by name: what max_sessions is for their users")
    max_per_stream: Seats | None = Field(None, description="sessions of one user on the same stream")
    max_per_device_type: dict[str, Seats] = Field({}, description="sessions of one user by type of device")
    enforce: bool = Field(True, description="false: a dry run, which decides and counts and refuses nobody")
    segment_seconds: Seconds = Field(6, description="X: how long one segment plays")
    missed_segments: int = Field(3, ge=1, le=1_000, description="n: a session silent for n·X expires")
    start_seconds: Seconds | None = Field(None, description="life of a reservation (default X)")
    buffer_seconds: float = Field(0, ge=0, le=86_400, description="buffered media added to the expiry, at most")
    max_returns: int = Field(2, ge=0, le=1_000, description="returns and repeats within n·X; 0: not looked at")
    over_limit: OverLimit = Field(OverLimit.REFUSE, description="who gives way when all seats are taken")
    on_store_outage: Outage = Field("keep-known", description="what to do while the store is away")
    outage_seconds: float = Field(0, ge=0, le=86_400, description="how much longer who sits may sit in an outage")
    reclaim_device: bool = Field(True, description="a crashed player's device gets its own silent seat back")
    grant_keys: list[SecretStr] = Field([], description="keys of grants: the first signs, all verify")
    grant_seconds: Seconds = Field(86_400, description="how long a grant may start a session")
    sweep_seconds: float | None = Field(None, ge=0, le=86_400, description="built-in sweep (default X); 0: none")
    grant_address: bool = Field(False, description="a grant counts only near the address it was given to")
    auth: Literal["open", "jwt"] = Field("open", description="who may call: open (anyone), jwt (who has a token)")
    allow_open: bool = Field(False, description="open access beyond loopback is meant")
    jwt: JwtSettings | None = Field(None, description="how viewers' tokens are verified (auth = jwt)")
    service_keys: list[SecretStr] = Field([], description="keys of back ends that speak for any user")
    operator_keys: list[SecretStr] = Field([], description="keys of operators, plain or sha256:<hex>")
    operator_read_keys: list[SecretStr] = Field([], description="keys that may look at everything")
    trusted_proxies: list[str] = Field([], description="whose X-Forwarded-For counts: addresses, networks, unix")
    connections_per_address: int = Field(1_000, ge=0, description="open connections of one address; 0: any number")
    request_seconds: float = Field(10, gt=0, le=3_600, description="time for a request's head, and for its body")
    cors_origins: list[str] = Field(["*"], description="origins whose pages may call")
    callbacks: list[Callback] = Field([], description="endpoints that are told of events")
    allow_private_callbacks: bool = Field(False, description="call backs to private and loopback addresses")
    outbox_max_events: int = Field(100_000, ge=1, description="events that may wait for their call back")
    drain_seconds: float = Field(10, ge=0, le=3_600, description="how long running segments may take at a stop")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags come in as keywords and win over the environment; the file is the last to be asked."""
        return init_settings, env_settings, _FileSource(settings_cls)

    @field_validator("listen")
    @classmethod
    def _listen_is_address(cls, value: str) -> str:
        if "/" not in value and not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]\s]+):\d{1,5}", value):
            raise ValueError("give host:port, [ipv6]:port, or the path of a Unix socket (with a slash)")
        if "/" not in value and int(value.rsplit(":", 1)[1]) > 65_535:
            raise ValueError("a port is at most 65535")
        return value

    @field_validator("store")
    @classmethod
    def _store_is_known(cls, value: str) -> str:
        if not STORE_URL.match(value):
            raise ValueError("give sqlite:///file, valkey://…, valkey+cluster://… or valkey+sentinel://…")
        return value

    @field_validator("streams")
    @classmethod
    def _streams_exist(cls, value: str | None) -> str | None:
        if value is not None and not (value and Path(value).is_dir()):
            raise ValueError(f"there is no folder {value!r}")
        return value

    @field_validator("grant_keys")
    @classmethod
    def _grant_keys_are_long(cls, value: list[SecretStr]) -> list[SecretStr]:
        if any(len(key.get_secret_value()) < 8 for key in value):
            raise ValueError("a key has at least 8 characters; 16 or more cannot be guessed from a playback URL")
        return value

    @field_validator("service_keys", "operator_keys", "operator_read_keys")
    @classmethod
    def _keys_are_keys(cls, value: list[SecretStr]) -> list[SecretStr]:
        for key in value:
            text = key.get_secret_value()
            if text.startswith("sha256:") and not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
                raise ValueError("a hashed key is sha256: and 64 hexadecimal digits in lower case")
            if not text:
                raise ValueError("a key is not empty")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_addresses(cls, value: list[str]) -> list[str]:
        for proxy in value:
            if proxy != "unix":
                try:
                    ip_network(proxy)
                except ValueError as error:
                    raise ValueError(f"{error}; give addresses, networks, or unix") from error
        return value

    @model_validator(mode="after")
    def _credentials_are_apart(self) -> "Settings":
        """No credential may be taken for another one."""
        named = [("service_keys", self.service_keys), ("operator_keys", self.operator_keys)]
        seen: dict[str, str] = {}
        for name, keys in [*named, ("operator_read_keys", self.operator_read_keys)]:
            for key in keys:
                other = seen.setdefault(key_hash(key.get_secret_value()), name)
                if other != name:
                    raise SettingsError(name, f"a key of {other}: each role needs keys of its own")
        if self.auth == "jwt" and self.jwt is None:
            raise SettingsError("jwt", 'auth = "jwt" needs jwks_url or secret_file in it')
        secret = None if self.jwt is None else self.jwt.secret
        if secret is not None and any(key.get_secret_value().encode() == secret for key in self.grant_keys):
            raise SettingsError("jwt.secret_file", "it is one of grant_keys, too: who makes tokens makes grants")
        return self

    @model_validator(mode="after")
    def _open_is_meant(self) -> "Settings":
        if self.auth == "open" and not self.is_loopback and not self.allow_open:
            problem = "open access is for loopback only; set allow_open = true if it is meant"
            raise SettingsError("auth", problem)
        return self

    @field_validator("callbacks")
    @classmethod
    def _callbacks_are_different(cls, value: list[Callback]) -> list[Callback]:
        names = [callback.name or callback.url for callback in value]
        if len(set(names)) < len(names):
            raise ValueError("two call backs with the same URL need different names")
        return value

    @property
    def is_loopback(self) -> bool:
        """Nobody beyond this machine reaches the listening address."""
        host = self.listen.rsplit(":", 1)[0]
        return "/" in self.listen or LOOPBACK.fullmatch(host) is not None

    @property
    def segment_ms(self) -> int:
        """X in milliseconds."""
        return _ms(self.segment_seconds)

    @property
    def sweep_every_seconds(self) -> float:
        """How often the built-in sweep runs; 0: never."""
        return self.segment_seconds if self.sweep_seconds is None else self.sweep_seconds

    @property
    def subscribed(self) -> frozenset[str]:
        """Event types that some call back wants."""
        return frozenset(t for callback in self.callbacks for t in callback.types or EVENT_TYPES)

    def policy(self) -> Policy:
        """The rules' numbers."""
        return Policy(
            max_sessions=self.max_sessions,
            segment_ms=self.segment_ms,
            missed_segments=self.missed_segments,
            start_ms=self.segment_ms if self.start_seconds is None else _ms(self.start_seconds),
            buffer_ms=_ms(self.buffer_seconds),
            max_returns=self.max_returns,
            over_limit=self.over_limit,
            reclaim_device=self.reclaim_device,
            max_per_stream=self.max_per_stream,
            max_per_device_type=self.max_per_device_type,
            enforce=self.enforce,
        )


class _FileSource(PydanticBaseSettingsSource):
    """The TOML file: STREAMLIMIT_CONFIG's, else streamlimit.toml in the working directory if there is one."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise KeyError(field_name)  # pydantic-settings asks field by field only where __call__ does not answer

    def __call__(self) -> dict[str, Any]:
        named = os.environ.get(PREFIX + "CONFIG")
        path = Path(named or CONFIG_FILE)
        if named is None and not path.exists():
            return {}
        try:
            return tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(str(path), f"cannot be read: {error}") from error


def load_settings(**flags: Any) -> Settings:
    """The settings of this process; *flags* that are None were not given. Raises `SettingsError`."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or "settings"
        raise SettingsError(name, _words(first)) from error
    except ValueError as error:  # pydantic-settings: a list in a variable that is no JSON
        raise SettingsError(_variable_named_in(str(error)), "every list in a variable is JSON") from error


def unknown_variables() -> list[str]:
    """STREAMLIMIT_… variables that no setting has. Not an error: Kubernetes makes some by itself."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + "CONFIG"}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def key_hash(key: str) -> str:
    """`sha256:<hex>` of a plain key; a hashed one as it is."""
    return key if key.startswith("sha256:") else "sha256:" + sha256(key.encode()).hexdigest()


def _words(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "there is no such setting"
    return str(problem["msg"]).removeprefix("Value error, ")


def _variable_named_in(text: str) -> str:
    match = re.search(r'field "(\w+)"', text)
    return match[1] if match else "settings"


def _is_base64(text: str) -> bool:
    try:
        return len(b64decode(text + "==")) > 0 and re.fullmatch(r"[A-Za-z0-9+/]+=*", text) is not None
    except ValueError:
        return False


def _ms(seconds: float) -> int:
    return max(round(seconds * 1_000), 1) if seconds else 0
