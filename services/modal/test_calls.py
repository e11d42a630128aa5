"""One call per attempt, whatever happens to those who spawn."""

import asyncio
from typing import Any

import pytest

from calls import SPAWNER_IS_DEAD_AFTER_S, WAIT_FOR_SPAWNER_S, Calls, CallState, Entry, NotSpawned, Order, Unavailable

KEY = "0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001:1"


class World:
    """A provider, a dictionary and a clock that goes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time, self.entries, self.states = 0.0, dict[str, Entry](), dict[str, str]()
        self.spawn_takes_s, self.is_deaf = 0.05, False
        self.spawn_error: Exception | None = None
        self.calls = Calls(self, self, lambda: self.time, self.sleep)

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        while self.time < until:
            await asyncio.sleep(0)
            self.time += 0.01

    async def spawn(self, order: Order) -> str:
        self.states[call := f"fc-{len(self.states)}"] = "running"
        await self.sleep(self.spawn_takes_s)
        if self.spawn_error:
            raise self.spawn_error
        return call

    async def poll(self, call_id: str) -> CallState:
        return {"status": self.states.get(call_id, "unknown"), "result": None, "error": None}

    async def stop(self, call_id: str) -> None:
        if not self.is_deaf:
            self.states[call_id] = "failed"

    async def add(self, name: str, entry: Entry) -> bool:
        await asyncio.sleep(0)
        return self.entries.setdefault(name, entry) is entry

    async def put(self, name: str, entry: Entry) -> None:
        await asyncio.sleep(0)
        self.entries[name] = entry

    async def get(self, name: str) -> Entry | None:
        await asyncio.sleep(0)
        return self.entries.get(name)

    async def remove(self, name: str) -> None:
        await asyncio.sleep(0)
        self.entries.pop(name, None)

    async def submit(self) -> tuple[str, bool]:
        return await self.calls.submit(KEY, {})


def run(test: Any) -> None:
    asyncio.run(test(World()))


def test_twenty_submits_at_once_give_one_call() -> None:
    async def test(world: World) -> None:
        answers = await asyncio.gather(*(world.submit() for _ in range(20)))
        assert {call for call, _ in answers} == {"fc-0"}
        assert [is_duplicate for _, is_duplicate in answers].count(False) == 1
        assert len(world.states) == 1

    run(test)


def test_a_dead_spawner_is_waited_for_and_then_replaced() -> None:
    async def test(world: World) -> None:
        world.entries[f"{KEY}#0"] = {"since": 0.0}
        with pytest.raises(Unavailable):
            await world.submit()
        assert WAIT_FOR_SPAWNER_S < world.time < SPAWNER_IS_DEAD_AFTER_S and not world.states
        world.time = SPAWNER_IS_DEAD_AFTER_S + 1
        answers = await asyncio.gather(*(world.submit() for _ in range(5)))
        assert {call for call, _ in answers} == {"fc-0"} and len(world.states) == 1

    run(test)


def test_a_spawner_that_was_only_slow_leaves_two_calls_that_a_cancel_finds() -> None:
    async def test(world: World) -> None:
        world.spawn_takes_s = SPAWNER_IS_DEAD_AFTER_S + 5
        slow = asyncio.ensure_future(world.submit())
        await world.sleep(SPAWNER_IS_DEAD_AFTER_S + 1)
        world.spawn_takes_s = 0.05
        assert await world.submit() == ("fc-1", False)
        assert await slow == ("fc-0", False)
        assert await world.calls.cancel(KEY, []) == {"fc-0": "cancelled", "fc-1": "cancelled"}

    run(test)


def test_a_call_spawned_during_a_cancel_is_stopped_by_its_spawner() -> None:
    async def test(world: World) -> None:
        world.spawn_takes_s = 5
        spawning = asyncio.ensure_future(world.submit())
        while not world.states:
            await asyncio.sleep(0)
        assert await world.calls.cancel(KEY, []) == {}
        await spawning
        assert (await world.calls.status(["fc-0"]))["fc-0"]["status"] == "cancelled"

    run(test)


def test_what_was_surely_not_spawned_is_spawned_at_the_next_submit() -> None:
    async def test(world: World) -> None:
        world.spawn_error = NotSpawned("full")
        with pytest.raises(NotSpawned):
            await world.submit()
        assert not world.entries
        world.spawn_error = None
        assert await world.submit() == ("fc-1", False)

    run(test)


def test_what_may_have_been_spawned_keeps_its_entry_for_its_container() -> None:
    async def test(world: World) -> None:
        world.spawn_error = Unavailable("lost")
        with pytest.raises(Unavailable):
            await world.submit()
        world.spawn_error = None
        assert await world.submit() == ("fc-1", False)
        world.entries[f"{KEY}#0"] = {"since": 0.0, "call_id": "fc-0"}
        assert await world.calls.cancel(KEY, ["fc-1", "fc-9"]) == {
            "fc-0": "cancelled",
            "fc-1": "cancelled",
            "fc-9": "unknown",
        }

    run(test)


def test_a_cancel_never_says_running() -> None:
    async def test(world: World) -> None:
        await world.submit()
        world.is_deaf = True
        with pytest.raises(Unavailable):
            await world.calls.cancel(KEY, [])
        world.states["fc-0"] = "completed"
        assert await world.calls.cancel(KEY, []) == {"fc-0": "completed"}

    run(test)
