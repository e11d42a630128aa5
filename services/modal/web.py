"""The three doors of the app, as an ASGI application: `POST /submit`, `/status`, `/cancel`."""

import json
import uuid
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calls import Calls, NotSpawned, Unavailable, key_of

MAX_BODY_BYTES = 1 << 20
MAX_CALLS = 100
MAX_ATTEMPT = 99
RETRY_AFTER_S = 5

STRINGS = (
    "audio_signed_url",
    "audio_ext",
    "r2_upload_key",
    "upload_signed_url",
    "callback_url",
    "webhook_url",
    "webhook_secret",
)


def application(calls: Calls) -> Starlette:
    """The app. Who may speak to it is decided in front of it."""

    async def submit(request: Request) -> Response:
        body = await _body(request)
        key = _key(body)
        if body.get("idempotency_key") != key:
            raise _unreadable(f"`idempotency_key` must be `{key}`")
        order = {name: _string(body, name) for name in STRINGS}
        order |= {"job_id": body["job_id"], "attempt": body["attempt"]}
        order |= {"config": _typed(body, "config", dict), "gpu": _typed(body, "gpu", bool)}
        # The container's callbacks belong to the trace that its submit belongs to.
        order |= {"traceparent": request.headers.get("traceparent", "")}
        call_id, is_duplicate = await calls.submit(key, order)
        answer = {"call_id": call_id, "job_id": order["job_id"], "gpu": order["gpu"], "duplicate": is_duplicate}
        return JSONResponse(answer)

    async def status(request: Request) -> Response:
        call_ids = _call_ids(await _body(request))
        return JSONResponse({"calls": await calls.status(call_ids)})

    async def cancel(request: Request) -> Response:
        body = await _body(request)
        return JSONResponse({"calls": await calls.cancel(_key(body), _call_ids(body))})

    return Starlette(
        routes=[Route(f"/{door.__name__}", door, methods=["POST"]) for door in (submit, status, cancel)],
        exception_handlers={HTTPException: _refuse, Unavailable: _later, Exception: _fail},
    )


async def _body(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _unreadable("the body must be `application/json`")
    text = bytearray()
    async for piece in request.stream():
        text += piece
        if len(text) > MAX_BODY_BYTES:
            raise HTTPException(413, "the body is too long")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise _unreadable("the body is no JSON") from None
    if not isinstance(body, dict):
        raise _unreadable("the body must be an object")
    return body


def _key(body: dict[str, Any]) -> str:
    try:
        is_job = str(uuid.UUID(_string(body, "job_id"))) == body["job_id"]
    except ValueError:
        is_job = False
    if not is_job:
        raise _unreadable("`job_id` must be a UUID in lower case")
    attempt = _typed(body, "attempt", int)
    if isinstance(attempt, bool) or not 1 <= attempt <= MAX_ATTEMPT:
        raise _unreadable(f"`attempt` must be a number from 1 to {MAX_ATTEMPT}")
    return key_of(body["job_id"], attempt)


def _call_ids(body: dict[str, Any]) -> list[str]:
    call_ids: list[Any] = _typed(body, "call_ids", list)
    if not all(isinstance(call_id, str) for call_id in call_ids):
        raise _unreadable("`call_ids` must be a list of strings")
    if len(call_ids) > MAX_CALLS:
        raise _unreadable(f"at most {MAX_CALLS} calls can be named at once")
    return call_ids


def _string(body: dict[str, Any], name: str) -> str:
    return str(_typed(body, name, str))


def _typed(body: dict[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if not isinstance(value, kind):
        raise _unreadable(f"`{name}` must be of type {kind.__name__}")
    return value


def _unreadable(sentence: str) -> HTTPException:
    return HTTPException(422, sentence)


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, error.detail, dict(error.headers or {}))


async def _later(_: Request, error: Exception) -> Response:
    status = 429 if isinstance(error, NotSpawned) else 503
    return _problem(status, str(error), {"retry-after": str(RETRY_AFTER_S)})


async def _fail(_: Request, error: Exception) -> Response:
    return _problem(500, f"the app failed: {type(error).__name__}", {})


def _problem(status: int, error: str, headers: dict[str, str]) -> Response:
    return JSONResponse({"error": error, "status": status}, status, headers)
