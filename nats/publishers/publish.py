"""Asks kiln for a render without HTTP, as any program may that can reach NATS:

    python3 -m pip install -r nats/publishers/requirements.txt
    python3 nats/publishers/publish.py JOB AUDIO

JOB is a UUID of your own. Keep it: asking again for the same job is harmless, and the way to go on after any error.
AUDIO is an address (https://...), or the key of an object in kiln's bucket (uploads/.../audio.flac).
NATS_URL says where the server is, and who asks: nats://user:password@host.
"""

import asyncio
import json
import os
import sys

import nats
from nats.js.errors import APIError


async def publish(server, job, audio):
    """Returns when the log has the request: its sequence, or None if it was there before."""
    place = "url" if "://" in audio else "key"
    body = json.dumps({"spec": {"audio": {place: audio}}}).encode()
    client = await nats.connect(server, allow_reconnect=False)
    try:
        # Waits for the server's word that the log has it.
        ack = await client.jetstream().publish(f"render.{job}.requested", body, timeout=10)
        return ack.seq
    except APIError as error:
        # The log takes each fact once. A log that is full has the same number, and another sentence.
        if "maximum messages per subject" in (error.description or ""):
            return None
        raise
    finally:
        await client.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: publish.py JOB AUDIO")
    job, audio = sys.argv[1:]
    try:
        seq = asyncio.run(publish(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), job, audio))
    except (nats.errors.Error, OSError) as error:
        sys.exit(f"{job} may or may not be in the log, ask again: {error}")
    print(f"{job} was there already" if seq is None else f"{job} is in the log, at {seq}")
