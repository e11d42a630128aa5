"""Modal on this machine, for tests: enough of its server to deploy, spawn, get and cancel, for Dicts and containers.

The app is deployed by Modal's own command line; `spawn` and `get` are Modal's own client; a call runs in Modal's own
container program, as a process. Only the server is ours.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import modal  # noqa: F401  (its parts import each other in circles: this one must be first)
from grpclib import GRPCError, Status
from grpclib.server import Server
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientBase

HERE = Path(__file__).resolve().parent
# What Modal gives a container after it told it to end.
GRACE_S = 30.0
PREFIXES = {
    "app_id": "ap",
    "dict_id": "di",
    "environment_id": "en",
    "function_id": "fu",
    "image_id": "im",
    "mount_id": "mo",
    "secret_id": "st",
}
SUCCESS = api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
TERMINATED = api_pb2.GenericResult.GENERIC_STATUS_TERMINATED
FAILURE = api_pb2.GenericResult.GENERIC_STATUS_FAILURE


@dataclass
class Call:
    """A call with its one input."""

    call_id: str
    function_id: str
    input: Any
    output: Any = None
    is_cancelled: bool = False
    containers: list[asyncio.subprocess.Process] = field(default_factory=list)


class Cloud:
    """Modal's server. Every method named like one of its procedures gets the request and fills the answer."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.functions: dict[str, Any] = {}
        self.images: list[Any] = []
        self.calls: dict[str, Call] = {}
        self.entries: dict[bytes, bytes] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.count = 0

    @contextlib.asynccontextmanager
    async def listen(self, call: Call | None = None) -> AsyncIterator[str]:
        """Its address; a container has one of its own, by which it is known."""
        server = Server([Door(self, call)])
        await server.start("127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        finally:
            server.close()

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}-{self.count:022}"

    async def deploy(self, url: str, **variables: str) -> None:
        """`modal deploy` of the app."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "modal", "deploy", str(HERE / "app.py")),
            env=os.environ | client(url) | variables,
            stdout=sys.stderr,
        )
        if await process.wait() != 0:
            raise RuntimeError("`modal deploy` failed")

    def function(self, name: str) -> Any:
        return next(function for function in self.functions.values() if function.function_name == name)

    # Deploying.

    def EnvironmentGetOrCreate(self, request: Any, answer: Any, _: Call | None) -> None:
        answer.metadata.name = "main"
        answer.metadata.settings.image_builder_version = "2025.06"

    def ImageGetOrCreate(self, request: Any, answer: Any, _: Call | None) -> None:
        self.images.append(request.image)
        answer.result.status = SUCCESS

    def MountPutFile(self, request: Any, answer: Any, _: Call | None) -> None:
        answer.exists = True

    def FunctionPrecreate(self, request: Any, answer: Any, _: Call | None) -> None:
        answer.handle_metadata.function_name = request.function_name

    def FunctionCreate(self, request: Any, answer: Any, _: Call | None) -> None:
        answer.function_id = request.existing_function_id
        answer.handle_metadata.function_name = request.function.function_name
        answer.function.CopyFrom(request.function)
        answer.function_data.ranked_functions.add().function.CopyFrom(request.function)
        self.functions[answer.function_id] = request.function

    def AppPublish(self, request: Any, answer: Any, _: Call | None) -> None:
        answer.url = "http://127.0.0.1/"

    # The client.

    def FunctionGet(self, request: Any, answer: Any, _: Call | None) -> None:
        found = [key for key, function in self.functions.items() if function.function_name == request.object_tag]
        answer.function_id = found[0]
        answer.handle_metadata.function_name = request.object_tag
        answer.function.ranked_functions.add().function.CopyFrom(self.functions[found[0]])

    def FunctionMap(self, request: Any, answer: Any, _: Call | None) -> None:
        call = Call(self.name("fc"), request.function_id, request.pipelined_inputs[0].input)
        self.calls[call.call_id] = call
        self._start(self._attend(call))
        answer.function_call_id = call.call_id
        answer.pipelined_inputs.add(input_id=f"in-{call.call_id[3:]}", input_jwt="none")

    def FunctionGetOutputs(self, request: Any, answer: Any, _: Call | None) -> None:
        call = self._call(request.function_call_id)
        if call.output:
            answer.outputs.append(call.output)
        else:
            answer.num_unfinished_inputs = 1

    def FunctionCallCancel(self, request: Any, answer: Any, _: Call | None) -> None:
        call = self._call(request.function_call_id)
        call.is_cancelled = True
        for container in call.containers:
            if container.returncode is None and request.terminate_containers:
                self._start(end(container))

    def DictUpdate(self, request: Any, answer: Any, _: Call | None) -> None:
        for update in request.updates:
            answer.created = not (request.if_not_exists and update.key in self.entries)
            if answer.created:
                self.entries[update.key] = update.value

    def DictGet(self, request: Any, answer: Any, _: Call | None) -> None:
        answer.found = request.key in self.entries
        answer.value = self.entries.get(request.key, b"")

    def DictPop(self, request: Any, answer: Any, _: Call | None) -> None:
        answer.found = request.key in self.entries
        answer.value = self.entries.pop(request.key, b"")

    # The container.

    async def FunctionGetInputs(self, request: Any, answer: Any, call: Call | None) -> None:
        assert call
        if call.output:
            answer.inputs.add(kill_switch=True)
            return
        answer.inputs.add(input_id=f"in-{call.call_id[3:]}", input=call.input, function_call_id=call.call_id)

    def FunctionPutOutputs(self, request: Any, answer: Any, call: Call | None) -> None:
        assert call
        item = request.outputs[0]
        call.output = api_pb2.FunctionGetOutputsItem(
            idx=0, input_id=item.input_id, result=item.result, data_format=item.data_format
        )

    def _call(self, call_id: str) -> Call:
        if call_id not in self.calls:
            raise GRPCError(Status.NOT_FOUND, "no such call")
        return self.calls[call_id]

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _attend(self, call: Call) -> None:
        """Containers, one after the other, until there is an output or nobody wants one."""
        while not call.output and not call.is_cancelled:
            code = await self._container(call)
            if code != 0 and not call.output:
                call.output = ended(FAILURE)
        call.output = call.output or ended(TERMINATED)

    async def _container(self, call: Call) -> int:
        async with self.listen(call) as url:
            task_id, function = self.name("ta"), self.functions[call.function_id]
            arguments = api_pb2.ContainerArguments(
                task_id=task_id, function_id=call.function_id, app_id="ap-1", function_def=function
            )
            for function_id, other in self.functions.items():
                arguments.app_layout.function_ids[other.function_name] = function_id
                entry = arguments.app_layout.objects.add(object_id=function_id)
                entry.function_handle_metadata.function_name = other.function_name
            for dependency in function.object_dependencies:
                arguments.app_layout.objects.add(object_id=dependency.object_id)
            with tempfile.NamedTemporaryFile() as file:
                file.write(arguments.SerializeToString())
                file.flush()
                variables = {
                    "MODAL_SERVER_URL": url,
                    "MODAL_TASK_ID": task_id,
                    "MODAL_IS_REMOTE": "1",
                    "MODAL_CONTAINER_ARGUMENTS_PATH": file.name,
                    "PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}",
                }
                container = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "modal._container_entrypoint"),
                    env=os.environ | self.environment | variables,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=sys.stderr,
                )
                call.containers.append(container)
                return await container.wait()

    async def close(self) -> None:
        """Ends every container."""
        for call in self.calls.values():
            call.is_cancelled = True
            for container in call.containers:
                await end(container)
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Door:
    """The procedures of Modal's server, as grpclib wants them."""

    def __init__(self, cloud: Cloud, call: Call | None) -> None:
        self.cloud, self.call = cloud, call

    def __mapping__(self) -> dict[str, Any]:
        everything = type("Everything", (ModalClientBase,), {})
        everything.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]
        handlers = everything().__mapping__().items()
        return {path: handler._replace(func=self._serve(path, handler)) for path, handler in handlers}

    def _serve(self, path: str, handler: Any) -> Callable[[Any], Awaitable[None]]:
        procedure = getattr(self.cloud, path.rpartition("/")[2], None)

        async def serve(stream: Any) -> None:
            request, answer = await stream.recv_message(), handler.reply_type()
            for name, prefix in PREFIXES.items():
                if name in answer.DESCRIPTOR.fields_by_name:
                    setattr(answer, name, self.cloud.name(prefix))
            if procedure and (pending := procedure(request, answer, self.call)):
                await pending
            await stream.send_message(answer)

        return serve


def ended(status: Any) -> Any:
    """The output of a call that has none of its own."""
    return api_pb2.FunctionGetOutputsItem(idx=0, result=api_pb2.GenericResult(status=status))


async def end(container: asyncio.subprocess.Process) -> None:
    """As Modal ends a container: asked with SIGINT, killed after 30 s."""
    if container.returncode is None:
        container.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(container.wait(), GRACE_S)
        except asyncio.TimeoutError:
            container.kill()


def client(url: str) -> dict[str, str]:
    """What Modal's client needs to speak to us and to nobody else."""
    return {
        "MODAL_SERVER_URL": url,
        "MODAL_TOKEN_ID": "ak-none",
        "MODAL_TOKEN_SECRET": "as-none",
        "MODAL_CONFIG_PATH": "/nonexistent/modal.toml",
    }
