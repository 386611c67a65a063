"""What requests are sent with, and as whom: cookies, default headers and auth."""

from copy import copy
from functools import cached_property
from http.cookiejar import Cookie
from operator import attrgetter
from typing import Any, TypeAlias

import attrs
import httpx

from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError

#: No authentication, a (user, password) pair for HTTP Basic, or a bearer token.
Auth: TypeAlias = tuple[str, str] | str | None

_COOKIE_NAMES = (
    *("domain", "path", "name", "value", "expires", "secure", "version", "port", "discard"),
    *("port_specified", "domain_specified", "domain_initial_dot", "path_specified"),
    *("comment", "comment_url", "rfc2109"),
)
_cookie_fields = attrgetter(*_COOKIE_NAMES)


@attrs.frozen(eq=False)
class Session:
    """Cookies, default headers and auth at one moment.

    :ivar cookies: copies, because cookies of the live jar are mutable.
    :ivar cookie_fields: what the live jar is compared with, to see that nothing changed.
    """

    headers: list[tuple[bytes, bytes]]
    cookies: tuple[Cookie, ...]
    cookie_fields: list[tuple[Any, ...]]
    auth: Auth

    @classmethod
    def of(cls, client: httpx.Client, auth: Auth) -> "Session":
        """Return what a client holds now."""
        cookies = tuple(map(copy, client.cookies.jar))
        return cls(client.headers.raw, cookies, [*map(_cookie_fields, cookies)], auth)

    def is_of(self, client: httpx.Client, auth: Auth) -> bool:
        """Tell whether a client still holds the same."""
        return (
            auth == self.auth
            and client.headers.raw == self.headers
            and [*map(_cookie_fields, client.cookies.jar)] == self.cookie_fields
        )

    def restore(self, client: httpx.Client) -> None:
        """Give a client its headers and cookies back."""
        # In place: actions may hold on to client.headers and client.cookies.
        client.headers.clear()
        client.headers.update(self.headers)
        client.cookies.clear()
        for cookie in self.cookies:
            client.cookies.jar.set_cookie(copy(cookie))

    @cached_property
    def observation(self) -> Observation:
        """Return the content; expiry times are metadata, being different in every run."""
        data = {
            "cookies": {_cookie_key(cookie): _cookie_data(cookie) for cookie in self.cookies},
            "headers": dict(httpx.Headers(self.headers, encoding="utf-8").items()),
            "auth": self.auth,
        }
        expires = {_cookie_key(c): c.expires for c in self.cookies if c.expires is not None}
        return Observation.create("api", data, {"cookie_expires": expires})


def _cookie_key(cookie: Cookie) -> str:
    return f"{cookie.name}; Domain={cookie.domain}; Path={cookie.path}"


def _cookie_data(cookie: Cookie) -> dict[str, Any]:
    return {
        "value": cookie.value,
        "secure": cookie.secure,
        "persistent": cookie.expires is not None,
    }


def checked_auth(auth: Any) -> Auth:
    """Return the argument.

    :raises DefinitionError: it is nothing that can be compared and rolled back.
    """
    if auth is None or (isinstance(auth, str) and not auth.lower().startswith("bearer ")):
        return auth
    if isinstance(auth, tuple) and len(auth) == 2 and all(isinstance(part, str) for part in auth):
        return auth
    raise DefinitionError(
        f"auth of type {type(auth).__name__} was refused: only plain values can be compared and "
        'rolled back. Write auth=("user", "password") for HTTP Basic, auth="token" for a bearer '
        'token (the token alone, without "Bearer "), or set client.headers["Authorization"].'
    )
