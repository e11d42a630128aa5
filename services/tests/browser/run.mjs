// Plays one scenario: `node run.mjs FILE NAME`.

import { hangUp } from "./harness.mjs";

const [file, name] = process.argv.slice(2);
const scenarios = await import(`./${file}.mjs`);
try {
  await scenarios[name]();
} catch (error) {
  console.log(error);
  process.exitCode = 1;
} finally {
  hangUp();
}
