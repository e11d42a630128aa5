"""The render function's own work: it always has a result, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import run

HERE = Path(__file__).resolve().parent
ORDER: dict[str, Any] = {
    "job_id": "0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001",
    "attempt": 2,
    "config": {"version": 1},
    "audio_signed_url": "https://store/audio?X-Amz-Signature=1",
    "audio_ext": "flac",
    "r2_upload_key": "renders/j/output-2.mp4",
    "upload_signed_url": "https://store/video?X-Amz-Signature=2",
    "callback_url": "https://kiln",
    "webhook_url": "https://kiln/api/webhooks/worker",
    "webhook_secret": "kiln1.secret",
    "gpu": True,
}
IDS = {"call": "fc-1", "input": "in-1", "task": "ta-1"}


def program(folder: Path, script: str) -> str:
    path = folder / "kiln"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_everything_secret_goes_into_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KILN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-1")
    script = f"env > {tmp_path}/env; echo $* > {tmp_path}/words; echo noise\necho '{{\"ok\": true, \"videoKey\": \"k\"}}'"
    kiln = program(tmp_path, script)
    traced = ORDER | {"traceparent": "00-1-2-01"}
    assert run.render(traced, IDS, kiln, 60) == {"ok": True, "videoKey": "k"}
    assert (tmp_path / "words").read_text() == f"guard -- {kiln} render\n"
    variables = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert {name: value for name, value in variables.items() if name.startswith(("KILN_", "MODAL_"))} == {
        "KILN_JOB_ID": ORDER["job_id"],
        "KILN_ATTEMPT": "2",
        "KILN_CALL_ID": "fc-1",
        "KILN_INPUT_ID": "in-1",
        "KILN_TASK_ID": "ta-1",
        "KILN_WEBHOOK_SECRET": ORDER["webhook_secret"],
        "KILN_WEBHOOK_URL": ORDER["webhook_url"],
        "KILN_CALLBACK_URL": ORDER["callback_url"],
        "KILN_AUDIO_SIGNED_URL": ORDER["audio_signed_url"],
        "KILN_UPLOAD_SIGNED_URL": ORDER["upload_signed_url"],
        "KILN_R2_UPLOAD_KEY": ORDER["r2_upload_key"],
        "KILN_CONFIG": json.dumps(ORDER["config"]),
        "KILN_TRACEPARENT": "00-1-2-01",
    }


@pytest.mark.parametrize(
    ("script", "code", "is_retryable"),
    [
        ("echo 'no JSON'; exit 3", "container_crashed", True),
        ("echo '[1]'", "container_crashed", True),
        ("kill -9 $$", "container_crashed", True),
        ("cat", "render_failed", False),
        ('echo \'{"ok": false, "code": "over", "retryable": false}\'; exit 1', "over", False),
    ],
)
def test_however_it_ends_there_is_a_result(tmp_path: Path, script: str, code: str, is_retryable: bool) -> None:
    result = run.render(ORDER, IDS, program(tmp_path, script), 0.5 if script == "cat" else 60)
    assert (result["ok"], result["code"], result["retryable"]) == (False, code, is_retryable)


def test_a_program_that_is_not_there_is_a_result_too(tmp_path: Path) -> None:
    result = run.render(ORDER, IDS, str(tmp_path / "none"), 60)
    assert result["code"] == "container_crashed" and str(tmp_path) not in result["error"]


def test_an_interrupt_ends_the_program_and_comes_through(tmp_path: Path) -> None:
    kiln = program(tmp_path, f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; cat")
    # Whoever started the tests may have left the signal ignored, as a shell does for what runs behind it.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; import run; print(run.render({ORDER!r}, {IDS!r}, {kiln!r}, 60))"
    container = subprocess.Popen([sys.executable, "-c", code], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < until, "the program did not start"
        time.sleep(0.01)
    container.send_signal(signal.SIGINT)
    output, errors = container.communicate(timeout=30)
    assert output == b"" and b"KeyboardInterrupt" in errors
    # An interrupt as early as this may find no one who waits; then the pipe closes with the container's own program.
    while is_alive(int((tmp_path / "pid").read_text())):
        assert time.monotonic() < until, "the program did not end"
        time.sleep(0.01)
