"""One call per attempt, however often and from however many places it is submitted.

The provider starts a call each time it is told to, and has nothing by which a repeat could be known. So a submit
first writes an entry that only one writer can write, and only that one spawns:

    {job}:{attempt}#0           {"since": …, "call_id": …}      the first spawner's
    {job}:{attempt}#1           …                               its successor's, if the first did not say its call in time
    {job}:{attempt}#cancelled                                   whoever spawns after that stops its call again
    {call}#cancelled                                            a call that ended without a result was stopped, not lost

A spawner that is slow and not dead ends in two calls for one attempt. Both are in their entries, so that a cancel finds
both, and the container's claim lets only one of them work. A call also writes itself into its entry when it starts, in
case its spawner died in between.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypedDict, TypeVar

SPAWNER_IS_DEAD_AFTER_S = 60.0
WAIT_FOR_SPAWNER_S = 10.0
WAIT_FOR_END_S = 30.0
POLL_S = 0.1
CALLS_AT_ONCE = 20

Entry = dict[str, Any]
Order = dict[str, Any]
T = TypeVar("T")


class CallState(TypedDict):
    """What `/status` says of a call. `running`: not finished; the provider cannot tell queued from running."""

    status: str
    result: dict[str, Any] | None
    error: str | None


class Unavailable(Exception):
    """The provider cannot say or do it now; a spawn may have happened nevertheless."""


class NotSpawned(Unavailable):
    """The provider said that it did not start the call."""


class Entries(Protocol):
    """A dictionary that all processes share."""

    async def add(self, name: str, entry: Entry) -> bool:
        """Writes an entry that is not there yet; false if it is."""

    async def put(self, name: str, entry: Entry) -> None: ...

    async def get(self, name: str) -> Entry | None: ...

    async def remove(self, name: str) -> None: ...


class Cloud(Protocol):
    """What runs the calls."""

    async def spawn(self, order: Order) -> str: ...

    async def poll(self, call_id: str) -> CallState: ...

    async def stop(self, call_id: str) -> None: ...


def key_of(job_id: str, attempt: int) -> str:
    """Under what one attempt of one job is submitted, however often."""
    return f"{job_id}:{attempt}"


def entry_of(call_id: str, now: float) -> Entry:
    """The entry of a call that is known."""
    return {"since": now, "call_id": call_id}


class Calls:
    """Spawns, polls and stops."""

    def __init__(
        self,
        cloud: Cloud,
        entries: Entries,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.cloud, self.entries, self.now, self.sleep = cloud, entries, now, sleep

    async def submit(self, key: str, order: Order) -> tuple[str, bool]:
        """The attempt's call, and whether it was there before."""
        generation, patience = 0, self.now() + WAIT_FOR_SPAWNER_S
        while True:
            name, now = f"{key}#{generation}", self.now()
            if await self.entries.add(name, {"since": now}):
                return await self._spawn(key, name, now, order), False
            entry = await self.entries.get(name)
            if entry is None:
                continue
            if entry.get("call_id"):
                return entry["call_id"], True
            if entry.get("is_lost") or now - entry["since"] > SPAWNER_IS_DEAD_AFTER_S:
                generation += 1
                continue
            if now > patience:
                raise Unavailable("another submit of this attempt is under way")
            await self.sleep(POLL_S)

    async def _spawn(self, key: str, name: str, since: float, order: Order) -> str:
        try:
            call_id = await self.cloud.spawn({**order, "entry": name})
        except NotSpawned:
            # Nobody else has taken over yet, so that no later entry stands behind a gap.
            if self.now() - since < SPAWNER_IS_DEAD_AFTER_S / 2:
                await self.entries.remove(name)
            else:
                await self.entries.put(name, {"since": since, "is_lost": True})
            raise
        except Exception:
            await self.entries.put(name, {"since": since, "is_lost": True})
            raise
        await self.entries.put(name, entry_of(call_id, since))
        if await self.entries.get(f"{key}#cancelled"):
            await self._stop(call_id)
        return call_id

    async def status(self, call_ids: Sequence[str]) -> dict[str, CallState]:
        """Every call's state."""
        return await _each(call_ids, self._state)

    async def cancel(self, key: str, call_ids: Sequence[str]) -> dict[str, str]:
        """Stops the given calls and all of the attempt; returns when none of them runs."""
        await self.entries.put(f"{key}#cancelled", {"since": self.now()})
        return await _each([*call_ids, *await self._of_attempt(key)], self._stop)

    async def _of_attempt(self, key: str) -> list[str]:
        found, generation = [], 0
        while entry := await self.entries.get(f"{key}#{generation}"):
            generation += 1
            if entry.get("call_id"):
                found.append(entry["call_id"])
        return found

    async def _state(self, call_id: str) -> CallState:
        state = await self.cloud.poll(call_id)
        if state["status"] == "failed" and await self.entries.get(f"{call_id}#cancelled"):
            return {"status": "cancelled", "result": None, "error": None}
        return state

    async def _stop(self, call_id: str) -> str:
        state = await self._state(call_id)
        if state["status"] == "running":
            await self.entries.put(f"{call_id}#cancelled", {"since": self.now()})
            await self.cloud.stop(call_id)
        patience = self.now() + WAIT_FOR_END_S
        while state["status"] == "running":
            if self.now() > patience:
                raise Unavailable("the call was told to stop and still runs")
            await self.sleep(POLL_S)
            state = await self._state(call_id)
        return state["status"]


async def _each(call_ids: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    gate = asyncio.Semaphore(CALLS_AT_ONCE)

    async def one(call_id: str) -> T:
        async with gate:
            return await ask(call_id)

    names = list(dict.fromkeys(call_ids))
    return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))
