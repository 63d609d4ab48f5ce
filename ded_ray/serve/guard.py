"""What stands before every path of an endpoint: the token, and the size of a request's body. Plain ASGI, so that it holds
for both forms, for paths that do not exist, and before a body is read."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ded_ray.serve.asked import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NO_TOKEN = Refused("a missing or wrong token; send it as 'Authorization: Bearer TOKEN'", status=401, code="invalid_api_key")


def digest(token: str) -> bytes:
    """What replicas know of a token: enough to compare, too little to tell."""
    return hashlib.sha256(token.encode()).digest()


class Guard:
    """Passes on requests with the right token (any, if none is wanted) and a body of at most `max_body_bytes`."""

    def __init__(self, app: App, token_digest: bytes | None, max_body_bytes: int) -> None:
        self._app, self._token_digest, self._max_body_bytes = app, token_digest, max_body_bytes
        self._too_large = Refused(f"the body is larger than {max_body_bytes} bytes", status=413)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if self._token_digest is not None and not self._is_right(headers.get(b"authorization", b"")):
            await refuse(send, NO_TOKEN, {b"www-authenticate": b'Basic realm="ded_ray: any name, and the token"'})
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._max_body_bytes:
            await refuse(send, self._too_large)
            return
        await self._app(scope, _limited(receive, self._max_body_bytes, self._too_large), send)

    def _is_right(self, authorization: bytes) -> bool:
        """Bearer, or Basic with the token as its password, which is what browsers can ask for. In constant time."""
        kind, _, given = authorization.partition(b" ")
        if kind.lower() == b"basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif kind.lower() != b"bearer":
            return False
        return hmac.compare_digest(hashlib.sha256(given.strip()).digest(), self._token_digest or b"")


def _limited(receive: Receive, most: int, too_large: Refused) -> Receive:
    """A body may be longer than its headers say, or say nothing."""
    received = 0

    async def limited() -> MutableMapping[str, Any]:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise too_large
        return message

    return limited


async def refuse(send: Send, refused: Refused, headers: dict[bytes, bytes] | None = None) -> None:
    """Answer with a refusal, in OpenAI's form."""
    body = json.dumps(refused.body).encode()
    own = {b"content-type": b"application/json", b"content-length": str(len(body)).encode()} | (headers or {})
    await send({"type": "http.response.start", "status": refused.status, "headers": list(own.items())})
    await send({"type": "http.response.body", "body": body})
