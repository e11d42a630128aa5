"""The app as Modal's own programs see it: deployed, spawned, polled, stopped and preempted by them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

import endpoint
import stand_in
from test_run import ORDER, program

T = TypeVar("T")


@pytest.fixture(scope="module")
def deployed() -> Iterator[stand_in.Cloud]:
    cloud = stand_in.Cloud({})

    async def deploy() -> None:
        async with cloud.listen() as url:
            variables = {"KILN_MODAL_SECRETS": "own-keys", "KILN_MODAL_TIMEOUT_S": "900"}
            await cloud.deploy(url, KILN_BINARY=sys.executable, **variables)

    asyncio.run(deploy())
    yield cloud


def test_the_render_functions_are_deployed_as_they_must_be(deployed: stand_in.Cloud) -> None:
    for name, gpu in (("render_cpu", ""), ("render_gpu", "L4")):
        function = deployed.function(name)
        assert function.resources.gpu_config.gpu_type == gpu
        assert (function.timeout_secs, function.startup_timeout_secs) == (900, 600)
        assert function.retry_policy.retries == 0 and function.single_use_containers
        assert function.autoscaler_settings.max_containers == 10
        assert function.autoscaler_settings.min_containers == 0, "nothing may run, and cost, without a call"
        assert len(function.secret_ids) == 1


def test_the_endpoint_asks_for_proxy_auth_and_keeps_nothing_running(deployed: stand_in.Cloud) -> None:
    web = deployed.function("web")
    assert web.webhook_config.requires_proxy_auth
    assert web.max_concurrent_inputs == 100
    assert web.autoscaler_settings.min_containers == 0 and len(web.secret_ids) == 0


def test_the_image_has_the_program_and_what_it_calls(deployed: stand_in.Cloud) -> None:
    commands = "\n".join(line for image in deployed.images for line in image.dockerfile_commands)
    for part in ("ffmpeg", "kiln --version", "starlette==", "NVIDIA_DRIVER_CAPABILITIES", "KILN_MODAL_SECRETS"):
        assert part in commands, commands


def test_a_checkout_is_built_where_no_program_is_given() -> None:
    async def deploy() -> str:
        cloud = stand_in.Cloud({})
        async with cloud.listen() as url:
            await cloud.deploy(url, KILN_BINARY="")
        return "\n".join(line for image in cloud.images for line in image.dockerfile_commands)

    assert "cargo build --release --locked" in asyncio.run(deploy())


def test_only_sources_go_into_the_image() -> None:
    import app

    for path in ("Cargo.lock", "services/src/main.rs", "nats/streams/RENDER.json", "schemas/job-entry.json"):
        assert not app.is_no_source(Path(path)), path
    for path in ("target/debug/kiln", ".git/config", ".kiln/dev.json", "services/modal/app.py", "README.md"):
        assert app.is_no_source(Path(path)), path


def test_the_versions_that_are_deployed_are_the_ones_tested() -> None:
    import app

    assert app.STARLETTE in (stand_in.HERE / "requirements.txt").read_text().splitlines()
    assert f'rust-version = "{app.RUST}"' in (app.repository / "Cargo.toml").read_text()


def test_a_time_that_modal_does_not_give_is_refused_before_anything_is_deployed() -> None:
    import app

    for seconds in ("60", "86401", "-1", "an hour"):
        with pytest.raises(ValueError):
            app.render_seconds(seconds)
    assert app.render_seconds("86400") == 86400


def test_modals_two_timeouts_are_not_mixed_up() -> None:
    from modal.exception import FunctionTimeoutError, OutputExpiredError

    assert not issubclass(FunctionTimeoutError, TimeoutError) and not issubclass(OutputExpiredError, TimeoutError)


class Endpoint:
    """The app's web part, with containers that find `script` as their `kiln`."""

    def __init__(self, folder: Path, script: str) -> None:
        program(folder, script)
        self.process = subprocess.Popen(
            [sys.executable, stand_in.HERE / "endpoint.py"],
            env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=60)

    def ask(self, door: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"modal-key": endpoint.KEY, "modal-secret": endpoint.SECRET, "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/{door}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def submit(self) -> str:
        order = ORDER | {"idempotency_key": f"{ORDER['job_id']}:{ORDER['attempt']}"}
        return str(self.ask("submit", order)["call_id"])

    def end_of(self, call: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            state: dict[str, Any] = self.ask("status", {"call_ids": [call]})["calls"][call]
            return None if state["status"] == "running" else state

        return wait_for(ended)


def wait_for(ask: Callable[[], T | None]) -> T:
    until = time.monotonic() + 60
    while (answer := ask()) is None:
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)
    return answer


def text_of(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


def is_gone(pid: int) -> bool | None:
    return None if Path(f"/proc/{pid}").exists() else True


def test_a_preempted_input_runs_again_under_its_old_names(tmp_path: Path) -> None:
    names = "$KILN_CALL_ID $KILN_INPUT_ID $KILN_TASK_ID"
    script = f"""[ -e {tmp_path}/first ] && {{ echo {names} > {tmp_path}/second; echo '{{"ok": true}}'; exit; }}
echo $PPID $$ {names} > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/first; exec cat"""
    with Endpoint(tmp_path, script) as app:
        call = app.submit()
        container, kiln, *first = wait_for(lambda: text_of(tmp_path / "first")).split()
        os.kill(int(container), signal.SIGINT)
        assert app.end_of(call) == {"status": "completed", "result": {"ok": True}, "error": None}
        second = (tmp_path / "second").read_text().split()
        assert first[:2] == second[:2] == [call, f"in-{call[3:]}"] and first[2] != second[2]
        assert wait_for(lambda: is_gone(int(kiln)))


def test_a_cancelled_call_is_told_as_cancelled_and_its_program_is_gone(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec cat"
    with Endpoint(tmp_path, script) as app:
        call = app.submit()
        kiln = int(wait_for(lambda: text_of(tmp_path / "pid")))
        cancel = {"job_id": ORDER["job_id"], "attempt": ORDER["attempt"], "call_ids": []}
        for _ in range(2):
            assert app.ask("cancel", cancel) == {"calls": {call: "cancelled"}}
        assert wait_for(lambda: is_gone(kiln))
        assert app.end_of(call) == {"status": "cancelled", "result": None, "error": None}


def test_a_container_that_dies_is_a_failed_call(tmp_path: Path) -> None:
    with Endpoint(tmp_path, "kill -9 $PPID") as app:
        state = app.end_of(app.submit())
        assert (state["status"], state["result"]) == ("failed", None)


def test_a_call_whose_spawner_died_enters_itself(tmp_path: Path) -> None:
    import app

    entered: dict[str, Any] = {}

    class Entries:
        def put(self, name: str, entry: dict[str, Any]) -> None:
            entered[name] = entry

    program(tmp_path, "exit 1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "entries", Entries())
        patch.setattr("modal.current_function_call_id", lambda: "fc-7")
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert app.render(ORDER | {"entry": "key#0"})["ok"] is False
    assert entered["key#0"]["call_id"] == "fc-7"
