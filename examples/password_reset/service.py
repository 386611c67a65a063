"""Log in, forget the password, get a mail with a token, set a new password with it.

    app = create_app(Store(), send)

A token is good for one hour and for one use. The service as shipped breaks the first rule
(:func:`is_expired`); ``create_app(..., fixed=True)`` keeps both.
"""

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from flask import Flask, request
from flask.typing import ResponseReturnValue

GOOD_FOR = timedelta(hours=1)


def is_expired(age: timedelta) -> bool:
    """Tell whether a token is too old."""
    return age.seconds > GOOD_FOR.seconds


def is_expired_fixed(age: timedelta) -> bool:
    """Tell whether a token is too old, also after more than a day."""
    return age > GOOD_FOR


def hashed(text: str) -> str:
    """Return what is kept of a password or a token."""
    return hashlib.sha256(text.encode()).hexdigest()


def new_store() -> dict[str, Any]:
    """Return the users and open resets of a service that was just installed."""
    return {"passwords": {"ada@example.com": hashed("lovelace")}, "resets": []}


def create_app(
    store: dict[str, Any], send: Callable[[EmailMessage], None], *, fixed: bool = False
) -> Flask:
    """Return the application.

    :param store: what it remembers, changed in place.
    :param send: called with each mail.
    """
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    expired = is_expired_fixed if fixed else is_expired

    @app.post("/session")
    def log_in() -> ResponseReturnValue:
        given = request.get_json()
        kept = store["passwords"].get(given["mail"])
        return ("", 204) if kept == hashed(given["password"]) else ("", 401)

    @app.post("/resets")
    def forget() -> ResponseReturnValue:
        address = request.get_json()["mail"]
        if address in store["passwords"]:
            token, now = secrets.token_hex(16), datetime.now(UTC)
            store["resets"].append({"mail": address, "token": hashed(token), "at": now})
            send(written(address, token, now))
        return "", 202  # in any case, or a stranger could ask who is a customer

    @app.post("/passwords")
    def set_password() -> ResponseReturnValue:
        given = request.get_json()
        token = hashed(given["token"])
        found = next((item for item in store["resets"] if item["token"] == token), None)
        if found is None:
            return "", 404
        if expired(datetime.now(UTC) - found["at"]):
            return "", 410
        store["resets"].remove(found)
        store["passwords"][found["mail"]] = hashed(given["password"])
        return "", 204

    return app


def written(address: str, token: str, now: datetime) -> EmailMessage:
    """Return the mail with the token."""
    message = EmailMessage()
    message["From"], message["To"] = "shop@example.com", address
    message["Subject"] = "Your new password"
    message["Date"] = now
    message.set_content(f"Choose it within an hour: https://shop.example.com/new?token={token}\n")
    return message
