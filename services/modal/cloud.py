"""Modal as `calls.py` wants to see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import modal
from modal.exception import (
    AuthError,
    ConflictError,
    ConnectionError,
    Error,
    InternalError,
    InvalidError,
    NotFoundError,
    OutputExpiredError,
    PermissionDeniedError,
    ResourceExhaustedError,
    ServiceError,
)

from calls import CallState, Entry, NotSpawned, Order, Unavailable

# Errors of the question. Every other one is the call's own end, told as an exception.
TROUBLE = (
    AuthError,
    ConflictError,
    ConnectionError,
    InternalError,
    PermissionDeniedError,
    ResourceExhaustedError,
    ServiceError,
)
# The provider answered, and the answer was no.
REFUSALS = (AuthError, InvalidError, NotFoundError, PermissionDeniedError, ResourceExhaustedError)


class ModalCloud:
    """Calls of the two render functions."""

    def __init__(self, cpu: Any, gpu: Any) -> None:
        self.cpu, self.gpu = cpu, gpu

    async def spawn(self, order: Order) -> str:
        function = self.gpu if order["gpu"] else self.cpu
        try:
            call = await function.spawn.aio(order)
        except ConflictError as error:
            raise Unavailable("Modal may have started the call") from error
        except REFUSALS as error:
            raise NotSpawned(f"Modal did not start the call: {type(error).__name__}") from error
        except Exception as error:
            raise Unavailable("Modal may have started the call") from error
        return str(call.object_id)

    async def poll(self, call_id: str) -> CallState:
        if not call_id.startswith("fc-"):
            return _state("unknown")
        try:
            result = await modal.FunctionCall.from_id(call_id).get.aio(timeout=0)
        except OutputExpiredError:
            return _state("expired")
        except TimeoutError:
            # The built-in one: not finished. Modal's own errors of that name are ends.
            return _state("running")
        except TROUBLE as error:
            raise Unavailable(f"Modal did not tell of a call: {type(error).__name__}") from error
        except (NotFoundError, InvalidError):
            return _state("unknown")
        except Exception as error:
            return _state("failed", error=f"the call ended with {type(error).__name__}")
        return _state("completed", result=result)

    async def stop(self, call_id: str) -> None:
        try:
            await modal.FunctionCall.from_id(call_id).cancel.aio(terminate_containers=True)
        except NotFoundError:
            return
        except Exception as error:
            raise Unavailable(f"Modal did not stop a call: {type(error).__name__}") from error


class ModalEntries:
    """A `modal.Dict`. Modal keeps an entry for 7 days, as long as a call's result."""

    def __init__(self, entries: Any) -> None:
        self.entries = entries

    async def add(self, name: str, entry: Entry) -> bool:
        with _asking():
            return bool(await self.entries.put.aio(name, entry, skip_if_exists=True))

    async def put(self, name: str, entry: Entry) -> None:
        with _asking():
            await self.entries.put.aio(name, entry)

    async def get(self, name: str) -> Entry | None:
        with _asking():
            entry: Entry | None = await self.entries.get.aio(name)
            return entry

    async def remove(self, name: str) -> None:
        with _asking():
            await self.entries.pop.aio(name, None)


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except Error as error:
        raise Unavailable(f"Modal's dictionary did not answer: {type(error).__name__}") from error


def _state(status: str, result: dict[str, Any] | None = None, error: str | None = None) -> CallState:
    return {"status": status, "result": result, "error": error}
