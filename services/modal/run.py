"""Runs `kiln render` for one call, in the call's container."""

import json
import os
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

Result = dict[str, Any]


def render(order: Mapping[str, Any], ids: Mapping[str, str], kiln: str, limit_s: float) -> Result:
    """What `kiln render` says at its end; never an error, since the provider could not tell one from a lost container.

    Only what stops the container comes through (`KeyboardInterrupt`, a cancellation): then nothing has been decided,
    and the provider starts the same input again, or has been told not to.
    """
    try:
        return _run([kiln, "guard", "--", kiln, "render"], _environment(order, ids), limit_s)
    except Exception as error:
        return _failure(f"`kiln render` could not be run: {type(error).__name__}", is_retryable=True)


def _run(command: list[str], environment: dict[str, str], limit_s: float) -> Result:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    )
    assert process.stdin and process.stdout
    # The guard ends its program, with everything that it started, when this pipe closes, or this process is killed.
    pipe, is_late = process.stdin, threading.Event()

    def end() -> None:
        is_late.set()
        pipe.close()

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    last = b""
    try:
        timer.start()
        for line in process.stdout:
            last = line
    finally:
        timer.cancel()
        pipe.close()
        code = process.wait()
        process.stdout.close()
    if is_late.is_set():
        error = f"the render took longer than {limit_s:.0f} s and was stopped"
        return _failure(error, code="render_failed", is_retryable=False)
    return _result(last, code)


def _result(line: bytes, code: int) -> Result:
    try:
        result = json.loads(line)
    except ValueError:
        result = None
    if isinstance(result, dict) and isinstance(result.get("ok"), bool):
        return result
    return _failure(f"`kiln render` ended without a result, with exit code {code}", is_retryable=True)


def _failure(error: str, *, code: str = "container_crashed", is_retryable: bool) -> Result:
    return {"ok": False, "code": code, "error": error, "retryable": is_retryable}


def _environment(order: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, str]:
    """Everything goes into the environment, since others can read a command line. What is the provider's stays out."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MODAL_")}
    trace = {"KILN_TRACEPARENT": order["traceparent"]} if order.get("traceparent") else {}
    return own | trace | {
        "KILN_JOB_ID": order["job_id"],
        "KILN_ATTEMPT": str(order["attempt"]),
        "KILN_CALL_ID": ids["call"],
        "KILN_INPUT_ID": ids["input"],
        "KILN_TASK_ID": ids["task"],
        "KILN_WEBHOOK_SECRET": order["webhook_secret"],
        "KILN_WEBHOOK_URL": order["webhook_url"],
        "KILN_CALLBACK_URL": order["callback_url"],
        "KILN_AUDIO_SIGNED_URL": order["audio_signed_url"],
        "KILN_UPLOAD_SIGNED_URL": order["upload_signed_url"],
        "KILN_R2_UPLOAD_KEY": order["r2_upload_key"],
        "KILN_CONFIG": json.dumps(order["config"]),
    }
