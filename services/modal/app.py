"""kiln on Modal: `modal deploy services/modal/app.py`, see the README's chapter.

| variable, when deploying | is |
|---|---|
| `KILN_BINARY` | the path of a `kiln` for Linux on x86-64; without it one is built in the image, from this checkout |
| `KILN_MODAL_GPU` | the GPU; one with a video encoder (L4, T4, A10, L40S): A100, H100, H200 and B200 have none |
| `KILN_MODAL_MAX_CONTAINERS` | how many renders of each kind may run at once |
| `KILN_MODAL_TIMEOUT_S` | longest render |
| `KILN_MODAL_SECRETS` | names of Modal secrets for the render containers, by comma; for a renderer of your own |
"""

import os
from pathlib import Path
from typing import Any

import modal
from starlette.applications import Starlette

import run
from calls import Calls, Order, entry_of
from cloud import ModalCloud, ModalEntries
from web import application

RUST = "1.94.1"
STARLETTE = "starlette==1.10.0"
KILN = "/usr/local/bin/kiln"  # on the image's PATH
# Between our own stop of a render and Modal's.
MARGIN_S = 60


def render_seconds(text: str) -> int:
    """Modal's limit for a render."""
    seconds = int(text)
    if not MARGIN_S < seconds <= 86_400:
        raise ValueError(f"`KILN_MODAL_TIMEOUT_S` must be more than {MARGIN_S} and at most 86400")
    return seconds


repository = Path(__file__).resolve().parent / ".." / ".."
gpu_kind = os.environ.get("KILN_MODAL_GPU", "L4")
max_containers = int(os.environ.get("KILN_MODAL_MAX_CONTAINERS", "10"))
timeout_s = render_seconds(os.environ.get("KILN_MODAL_TIMEOUT_S", "21600"))
secret_names = os.environ.get("KILN_MODAL_SECRETS", "")
secrets = [modal.Secret.from_name(name.strip()) for name in secret_names.split(",") if name.strip()]
# Modal refuses a container in which a function has other secrets than where it was deployed.
settings = {"KILN_MODAL_TIMEOUT_S": str(timeout_s), "KILN_MODAL_SECRETS": secret_names}


def is_no_source(path: Path) -> bool:
    """Whether a file of the checkout has no part in the program."""
    top, *rest = path.parts
    return top not in ("Cargo.toml", "Cargo.lock", "events", "nats", "schemas", "services") or rest[:1] == ["modal"]


def with_kiln(image: modal.Image) -> modal.Image:
    """Puts the program into the image: a given one, or one built there."""
    if given := os.environ.get("KILN_BINARY"):
        return image.add_local_file(given, KILN, copy=True).run_commands(f"chmod 755 {KILN}", f"{KILN} --version")
    rustup = f"curl -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain {RUST}"
    build = "cd /src && ~/.cargo/bin/cargo build --release --locked --no-default-features -p kiln"
    keep = f"install -m 755 target/release/kiln {KILN} && rm -rf target ~/.cargo ~/.rustup && {KILN} --version"
    image = image.apt_install("build-essential", "curl").add_local_dir(
        repository, "/src", copy=True, ignore=is_no_source
    )
    return image.run_commands(f"{rustup} && {build} && {keep}")


base = modal.Image.debian_slim(python_version="3.12").pip_install(STARLETTE).env(settings)
sources = ("calls", "cloud", "run", "web")
web_image = base.add_local_python_source(*sources)
# Without "video" among its capabilities a container does not see the GPU's encoder.
render_image = (
    with_kiln(base.apt_install("ffmpeg", "ca-certificates"))
    .env({"NVIDIA_DRIVER_CAPABILITIES": "all"})
    .add_local_python_source(*sources)
)

app = modal.App(os.environ.get("KILN_MODAL_APP", "kiln"))
entries = modal.Dict.from_name("kiln-calls", create_if_missing=True)


def render(order: Order) -> run.Result:
    """One call: an input that Modal starts again comes back with the same ids, but for the container's."""
    call = modal.current_function_call_id() or ""
    try:
        entries.put(order["entry"], entry_of(call, 0.0))
    except modal.Error:
        print("the call could not be entered; its spawner probably did it")
    ids = {"call": call, "input": modal.current_input_id() or "", "task": os.environ.get("MODAL_TASK_ID", "")}
    return run.render(order, ids, "kiln", timeout_s - MARGIN_S)


# The retries are kiln's. A container serves one call, so that nothing of it is left for the next one.
limits: dict[str, Any] = {
    "image": render_image,
    "secrets": secrets,
    "timeout": timeout_s,
    "startup_timeout": 600,
    "retries": 0,
    "max_containers": max_containers,
    "single_use_containers": True,
}


@app.function(cpu=8.0, memory=8192, **limits)
def render_cpu(order: Order) -> run.Result:
    """Renders without a GPU."""
    return render(order)


@app.function(cpu=8.0, memory=32768, gpu=gpu_kind, **limits)
def render_gpu(order: Order) -> run.Result:
    """Renders with a GPU."""
    return render(order)


@app.function(image=web_image, timeout=120)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(requires_proxy_auth=True)
def web() -> Starlette:
    """The endpoint; its address is `MODAL_ENDPOINT_URL`."""
    return application(Calls(ModalCloud(render_cpu, render_gpu), ModalEntries(entries)))
