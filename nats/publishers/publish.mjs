// Asks kiln for a render without HTTP, as any program may that can reach NATS:
//
//     npm install @nats-io/transport-node@3.4.0 @nats-io/jetstream@3.4.0
//     node nats/publishers/publish.mjs JOB AUDIO
//
// JOB is a UUID of your own. Keep it: asking again for the same job is harmless, and the way to go on after any error.
// AUDIO is an address (https://...), or the key of an object in kiln's bucket (uploads/.../audio.flac).
// NATS_URL says where the server is, and who asks: nats://user:password@host.

import { jetstream, JetStreamApiError } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

/** Resolves when the log has the request: to its sequence, or to null if it was there before. */
export async function publish(server, job, audio) {
  const place = audio.includes("://") ? "url" : "key";
  // This client does not look for them in the address itself.
  const { username: user, password: pass } = new URL(server);
  const client = await connect({ servers: server, reconnect: false, ...(user && { user, pass }) });
  try {
    // Waits for the server's word that the log has it.
    const body = JSON.stringify({ spec: { audio: { [place]: audio } } });
    const { seq } = await jetstream(client).publish(`render.${job}.requested`, body, { timeout: 10_000 });
    return seq;
  } catch (error) {
    // The log takes each fact once. A log that is full has the same number, and another sentence.
    if (error instanceof JetStreamApiError && error.message.includes("maximum messages per subject")) return null;
    throw error;
  } finally {
    await client.close();
  }
}

const [job, audio] = process.argv.slice(2);
if (!audio) {
  console.error("usage: publish.mjs JOB AUDIO");
  process.exit(1);
}
try {
  const seq = await publish(process.env.NATS_URL ?? "nats://127.0.0.1:4222", job, audio);
  console.log(seq === null ? `${job} was there already` : `${job} is in the log, at ${seq}`);
} catch (error) {
  console.error(`${job} may or may not be in the log, ask again: ${error}`);
  process.exit(1);
}
