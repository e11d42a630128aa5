// Plays one scenario: `node run.mjs FILE NAME`.

const [file, name] = process.argv.slice(2);
const scenarios = await import(`./${file}.mjs`);
try {
  await scenarios[name]();
  process.exit(0);
} catch (error) {
  console.log(error);
  // The browser of a scenario that failed goes with us.
  process.exit(1);
}
