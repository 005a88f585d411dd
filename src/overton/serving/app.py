"""The routes: ``/score``, ``/get_reward`` for OpenRLHF, ``/health`` and ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from overton import __version__
from overton.serving.errors import Refusal
from overton.serving.gate import Gate, from_refusal, problem
from overton.serving.openrlhf import get_reward
from overton.serving.schema import (
    Answers,
    Health,
    OpenRLHFReply,
    OpenRLHFRequest,
    Problem,
    ScoreReply,
    ScoreRequest,
    to_asked,
)
from overton.serving.service import ScoringService

T = TypeVar("T")

ROUTES = {"/score", "/get_reward", "/health", "/metrics", "/openapi.json"}
_CODES = {
    400: "invalid",
    404: "not_found",
    405: "not_allowed",
    408: "timeout",
    413: "too_large",
    429: "queue_full",
    503: "unavailable",
}
_KEYS = {name for model in (ScoreRequest, Answers, OpenRLHFRequest) for name in model.model_fields}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        401: "The token is missing or wrong.",
        408: "The body did not arrive in time.",
        409: "Answers do not fit the group they name.",
        413: "A limit of size is exceeded.",
        415: "The body is compressed.",
        422: "The body is not what the route takes.",
        429: "The queue is full.",
        503: "Nothing can be scored now.",
    }.items()
}


def create_app(service: ScoringService, token: str | None = None) -> FastAPI:
    """The HTTP side of a service.

    Args:
        service: scores; whoever made it starts and stops it.
        token: asked for on every route but ``/health``; ``None`` asks nobody.
    """
    # No page with scripts from elsewhere: the document alone, at /openapi.json.
    app = FastAPI(title="Overton reward", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(
        Gate,
        token=token,
        max_body=service.settings.max_body,
        metrics=service.metrics,
        stopping=service.stopping,
        routes=ROUTES,  # type: ignore[arg-type]
    )

    @app.post("/score", response_model=ScoreReply, responses=_ERRORS, summary="Score groups of answers")
    async def score(request: Request, body: ScoreRequest) -> Response:
        asked = to_asked(body.groups, service.settings)
        return JSONResponse(
            {"groups": await _while_connected(request, service.score(asked)), "reward": service.about.identity}
        )

    @app.post("/get_reward", response_model=OpenRLHFReply, responses=_ERRORS, summary="Score what OpenRLHF sends")
    async def openrlhf(request: Request, body: OpenRLHFRequest) -> Response:
        return JSONResponse(await _while_connected(request, get_reward(service, body)))

    @app.get(
        "/health", response_model=Health, responses={503: {"model": Health}}, summary="Whether answers can be scored"
    )
    async def health() -> Response:
        found = Health(status=service.state, version=__version__, held=service.held, reward=service.about.identity)
        return JSONResponse(found.model_dump(), 200 if service.state == "ready" else 503)

    @app.get("/metrics", response_class=PlainTextResponse, summary="Counters for Prometheus")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        return from_refusal(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return problem(422, "invalid", _what_is_wrong(error))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers) if error.headers else None
        if error.status_code == 400:  # FastAPI's, which says nothing but that there was an error
            if encoding := request.headers.get("content-encoding"):
                return problem(
                    415, "invalid", f"the body comes with Content-Encoding {encoding[:20]}; send it as it is"
                )
            return problem(400, "invalid", "the body is not JSON in UTF-8, is nested too deep, or holds a huge number")
        return problem(error.status_code, _CODES.get(error.status_code, "error"), error.detail, headers)

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> Response:
        return problem(500, "error", f"the server has an error ({type(error).__name__}); its log says more")

    return app


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; it ends when the client goes, so that a client that asks again is not scored twice."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise HTTPException(499, "the client is gone")
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _what_is_wrong(error: RequestValidationError) -> str:
    """The first problems by their places; never the text that was found there."""
    said = []
    for entry in error.errors()[:3]:
        kind, place = entry["type"], entry["loc"]
        if kind == "json_invalid":
            return f"the body is not JSON: {entry['ctx']['error']} at character {place[-1]}"
        if place == ("body",):
            return "the body must be a JSON object, sent with Content-Type: application/json"
        known = (
            f"[{part}]" if isinstance(part, int) else f".{part}"
            for part in place
            if isinstance(part, int) or part in _KEYS
        )
        what = "a key that is not known; /openapi.json has them all" if kind == "extra_forbidden" else entry["msg"]
        said.append(f"{''.join(known).lstrip('.') or 'body'}: {what}")
    return "; ".join(said)
