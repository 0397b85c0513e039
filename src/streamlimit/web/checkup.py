"""The check of `jwt.jwks_url`: asks the provider once, as the workers will, and explains what is wrong."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from streamlimit.errors import SettingsError, StreamlimitError
from streamlimit.settings import Settings
from streamlimit.store.diagnosis import NETWORK
from streamlimit.web.token_keys import fetch_jwks, public_keys

NAME = "jwt.jwks_url"

MEANINGS: tuple[tuple[str, str], ...] = (
    *NETWORK,
    ("Hostname mismatch", "its certificate is for another name"),
    ("IP address mismatch", "its certificate is for another address"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted: name its authority in SSL_CERT_FILE"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
    ("RECORD_LAYER_FAILURE", "it does not speak TLS"),
    ("disconnected", "it closes the connection without an answer: perhaps it wants https"),
    ("TimeoutError", "it does not answer in time: it hangs, or a firewall is in between"),
    ("Timeout", "it does not answer in time: it hangs, or a firewall is in between"),
    ("too long", "the document is too long to be a JWKS"),
    ("InvalidURL", "it is no URL"),
    ("JSON", "what it answers is no JSON: is it the URL of the JWKS itself?"),
)
"""Signs in the text of a failure, and what each means; the first that is found counts."""

MAY_COME_YET = ("refused", "no way", "in time", "looked up now")
"""Words of failures that may be temporary; all others are a wrong setting."""

NO_JWKS = "what it answers is no JWKS: no object with a list of `keys`"
NO_USE = "none of its {} keys is one for RS256 (RSA), ES256 (P-256) or EdDSA (Ed25519) signatures"


class ProviderUnavailable(StreamlimitError):
    """The provider does not answer now; the setting may be right."""


async def check_provider(settings: Settings) -> list[str]:
    """Notes on the provider of tokens, if there is one.

    Raises `SettingsError`, `ProviderUnavailable`, with words.
    """
    url = settings.jwt.jwks_url if settings.auth == "jwt" and settings.jwt is not None else None
    if url is None:
        return []
    count = _usable(await _document(url), _shown(url))
    return [f"the provider shows {count} usable {'key' if count == 1 else 'keys'}"]


async def _document(url: str) -> Any:
    try:
        return await fetch_jwks(url)
    except (OSError, ValueError) as error:
        response = getattr(error.__cause__, "response", None)
        if response is None:
            raise _failure(error, _shown(url)) from error
        raise _bad_answer(response, _shown(url)) from error


def _bad_answer(response: Any, who: str) -> StreamlimitError:
    """The error for an answer (an `httpx.Response`) that is not the document."""
    status, where = response.status_code, response.headers.get("location")
    answer = f"{who}: it answers {status} {HTTPStatus(status).phrase if status in set(HTTPStatus) else ''}".rstrip()
    if response.is_redirect:
        return SettingsError(NAME, f"{answer} to {where}: redirects are not followed, name the last URL")
    if status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderUnavailable(f"{NAME}: {answer}")
    return SettingsError(NAME, f"{answer}: a JWKS is there for everyone to read")


def _failure(error: Exception, who: str) -> StreamlimitError:
    """The error to raise: a provider that is silent or refuses may be down; all else is a wrong setting."""
    causes = list(_causes(error))
    known = ((words, text) for sign, words in MEANINGS for text in causes if sign in text)
    words, reason = next(known, ("it does not answer", causes[0]))
    text = f"{who}: {words} ({reason})"
    if any(sign in words for sign in MAY_COME_YET):
        return ProviderUnavailable(f"{NAME}: {text}")
    return SettingsError(NAME, text)


def _causes(error: BaseException | None) -> Iterable[str]:
    """The texts of *error* and its causes: the HTTP client's own text says little."""
    while error is not None:
        yield f"{type(error).__name__}: {error}".removesuffix(": ")
        error = error.__cause__ or error.__context__


def _usable(document: Any, who: str) -> int:
    """The number of keys in *document* that can verify a token."""
    try:
        shown, keys = len(document["keys"]), public_keys(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise SettingsError(NAME, f"{who}: {NO_JWKS}") from error
    count = sum(_verifies(key) for several in keys.values() for key in several)
    if count == 0:
        raise SettingsError(NAME, f"{who}: {NO_USE.format(shown)}")
    return count


def _verifies(key: Key) -> bool:
    """Is the key of an algorithm that a token may have here?"""
    if isinstance(key, RSAKey):
        return key.alg in (None, "RS256")
    if isinstance(key, ECKey):
        return key.curve_name == "P-256" and key.alg in (None, "ES256")
    return isinstance(key, OKPKey) and key.curve_name == "Ed25519" and key.alg in (None, "EdDSA", "Ed25519")


def _shown(url: str) -> str:
    """The host of *url*, without user information, which may be a password."""
    return urlsplit(url).netloc.rpartition("@")[2]
