"""What is remembered of each request."""

import json
import re
from typing import Any, TypeAlias

import attrs
import httpx

#: Names and values in the order they were sent; a name may occur more than once.
HeaderPairs: TypeAlias = tuple[tuple[str, str], ...]

_CHARSET = re.compile(r"charset=[\"']?([^\s;\"']+)", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class RequestRecord:
    """One request, with its answer or the error that came instead.

    :ivar status: None when there was no answer; then :attr:`error` says why.
    :ivar duration: seconds from sending the request to the end of the answer, or to the error.
    :ivar request_content: the body as sent, whole; likewise ``response_content``, as received
        and decompressed.
    """

    method: str
    url: str
    request_headers: HeaderPairs = attrs.field(default=(), repr=False)
    request_content: bytes = attrs.field(default=b"", repr=False)
    status: int | None = None
    response_headers: HeaderPairs = attrs.field(default=(), repr=False)
    response_content: bytes = attrs.field(default=b"", repr=False)
    duration: float
    error: str | None = None

    @property
    def request_body(self) -> Any:
        """Return what was sent, decoded as in :attr:`response_body`."""
        return _decoded(self.request_content, self.request_headers)

    @property
    def response_body(self) -> Any:
        """Return decoded JSON where the content type is JSON, else text, else bytes.

        An empty body is None. Decoded anew at each access: a step that nobody looks at costs
        nothing, and no reader can change the record.
        """
        return _decoded(self.response_content, self.response_headers)


def _decoded(content: bytes, headers: HeaderPairs) -> Any:
    if not content:
        return None
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    if "json" in kind.partition(";")[0].lower():
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            pass
    charset = _CHARSET.search(kind)
    try:
        return content.decode(charset[1] if charset else "utf-8")
    except (LookupError, UnicodeDecodeError):
        return content


def recorded(
    request: httpx.Request,
    response: httpx.Response | None,
    duration: float,
    error: str | None = None,
) -> RequestRecord:
    """Return the record of a request, with its answer or the error that came instead."""
    return RequestRecord(
        method=request.method,
        url=str(request.url),
        request_headers=tuple(request.headers.multi_items()),
        # A followed redirect is a request of httpx's own, whose body was never read.
        request_content=request.read(),
        status=response.status_code if response is not None else None,
        response_headers=tuple(response.headers.multi_items()) if response is not None else (),
        response_content=response.content if response is not None else b"",
        duration=duration,
        error=error,
    )
