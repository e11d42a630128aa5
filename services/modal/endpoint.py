"""The app's web part on a free port, for tests.

The app is deployed to a stand-in for Modal's server; before it stands a check of `Modal-Key` and `Modal-Secret`, as
Modal's proxy makes it. It prints its address, and ends when its standard input does.
"""

import asyncio
import os
import sys
from typing import Any

import modal
import uvicorn
from starlette.responses import PlainTextResponse

from calls import Calls
from cloud import ModalCloud, ModalEntries
from stand_in import Cloud, client
from web import application

KEY, SECRET = "key", "secret"


def behind_proxy(app: Any) -> Any:
    """The check that Modal's proxy makes in front of an endpoint with `requires_proxy_auth`."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        is_allowed = (headers.get(b"modal-key"), headers.get(b"modal-secret")) == (KEY.encode(), SECRET.encode())
        refusal = PlainTextResponse("modal-http: missing credentials", 401)
        await (app if is_allowed else refusal)(scope, receive, send)

    return guarded


async def main() -> None:
    """Everything, until standard input ends."""
    cloud = Cloud({})
    async with cloud.listen() as url:
        await cloud.deploy(url, KILN_BINARY=sys.executable)
        os.environ.update(client(url))
        render = [modal.Function.from_name("kiln", name) for name in ("render_cpu", "render_gpu")]
        entries = ModalEntries(modal.Dict.from_name("kiln-calls", create_if_missing=True))
        guarded = behind_proxy(application(Calls(ModalCloud(*render), entries)))
        server = uvicorn.Server(uvicorn.Config(guarded, port=0, log_level="warning", lifespan="off"))
        serving = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving
        await cloud.close()


if __name__ == "__main__":
    asyncio.run(main())
