"""The line about the service's access control, for the operator."""

from pydantic import SecretStr

from streamlimit.settings import OperatorKey, Settings


def security(settings: Settings) -> str:
    """How the service is secured, in one line."""
    kinds: dict[str, list[SecretStr | OperatorKey]] = {
        "operator": [key for key in settings.operator_keys if key.role == "operate"],
        "read": [*settings.operator_read_keys, *(key for key in settings.operator_keys if key.role == "read")],
        "service": [*settings.service_keys],
    }
    counts = [f"{len(keys)} {kind} keys" for kind, keys in kinds.items() if keys or kind == "operator"]
    every = [key.get_secret_value() for keys in kinds.values() for key in keys]
    plain = sum(not key.startswith("sha256:") for key in every)
    note = f" ({plain} given in plain; sha256:<hex> would hide them)" if plain else ""
    dry = "" if settings.enforce else "; a dry run: nobody is refused"
    return f"security: {_access(settings)}; {', '.join(counts)}{note}{dry}"


def _access(settings: Settings) -> str:
    if settings.auth == "jwt" and settings.jwt is not None:
        return f"viewers by token ({'HS256' if settings.jwt.jwks_url is None else settings.jwt.jwks_url})"
    return f"open access for {'this machine only' if settings.is_loopback else 'everyone who reaches the address'}"
