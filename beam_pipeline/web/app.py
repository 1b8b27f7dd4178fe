"""The dashboard's routes: the page, its state as JSON, and a user's recommendation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beam_pipeline.web.ask import Asker, NoListError
from beam_pipeline.web.follow import Topics
from beam_pipeline.web.live import Live
from beam_pipeline.web.pages import render
from transforms.formats.records import MAX_ID_LENGTH

_MAX_BODY: Final = 16 << 10
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def application(
    live: Live, asker: Asker, topics: Topics, titles: Mapping[str, str], hosts: Sequence[str]
) -> Starlette:
    """Returns the dashboard.

    Pages of other sites can neither read from it nor send requests through it: the Host header
    must be one of `hosts`, which prevents DNS rebinding, and a request needs a content type that
    browsers send across origins only after a preflight, which is never granted.

    Args:
        live: What is shown.
        asker: Gets recommendations.
        topics: The topics that the page names.
        titles: By item.
        hosts: Allowed values of the Host header; `*` for any.
    """
    page = render("dashboard.html", topics=topics, request_topic=asker.topic)

    async def show(_: Request) -> Response:
        return HTMLResponse(page)

    async def state(_: Request) -> Response:
        return _json(live.snapshot())

    async def ask(request: Request) -> Response:
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return _json({"error": "expected content type application/json"}, 415)
        user = _user(await _body(request))
        if user is None:
            return _json({"error": f"expected a user of 1 to {MAX_ID_LENGTH} characters"}, 400)
        try:
            found, seconds = await run_in_threadpool(asker.list_of, user)
        except NoListError as e:
            return _json({"error": str(e)}, 404)
        items = [
            {"item": item, "title": titles.get(item, ""), "score": score}
            for item, score in found.items
        ]
        shown = {**found._asdict(), "items": items, "seconds": seconds}
        del shown["headers"]
        return _json(shown)

    return Starlette(
        routes=[
            Route("/", show),
            Route("/state", state),
            Route("/list", ask, methods=["POST"]),
            Mount("/static", StaticFiles(packages=[("beam_pipeline.web", "static")])),
        ],
        middleware=[
            Middleware(_AddHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        ],
    )


class _AddHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self._app(scope, receive, send_more)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            return b""
    return body


def _user(body: bytes) -> str | None:
    try:
        user = orjson.loads(body)["user"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return user if isinstance(user, str) and 1 <= len(user) <= MAX_ID_LENGTH else None


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
