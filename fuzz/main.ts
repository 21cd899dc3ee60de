/** `npm run fuzz`: damaged and hostile models are loaded or refused; nothing crashes, hangs, or takes all memory. */
import { parseArgs } from "node:util";
import { Watched } from "./watch.js";

const { values: options } = parseArgs({
  options: {
    cases: { type: "string", default: "20000" },
    seed: { type: "string", default: "0" },
    /** Only this case, to see a finding again. */
    only: { type: "string" },
  },
});

function wholeNumber(text: string, option: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number < 2 ** 32) return number;
  process.stderr.write(`--${option} is a whole number, not "${text}"\n`);
  process.exit(2);
}

const cases = wholeNumber(options.cases, "cases");
const seed = wholeNumber(options.seed, "seed");
const from = options.only === undefined ? 0 : wholeNumber(options.only, "only");
const to = options.only === undefined ? cases : from + 1;

const counts = new Map<string, number>();
const add = (key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
const watched = new Watched(seed);
for (let index = from; index < to; index++) {
  const { what, outcome } = await watched.run(index);
  add(outcome.kind === "refused" ? outcome.code : outcome.kind);
  if (outcome.kind === "finding") {
    process.stdout.write(`--seed ${seed} --only ${index} (${what || "stopped"}): ${outcome.problem}\n`);
  } else if (options.only !== undefined) {
    process.stdout.write(`${what}: ${outcome.kind}\n`);
  }
  if ((index + 1) % 1000 === 0) process.stderr.write(`${index + 1} of ${to}\n`);
}
await watched.close();

const sorted = [...counts].sort(([, a], [, b]) => b - a);
process.stdout.write(`${to - from} cases\n${sorted.map(([key, count]) => `  ${key}: ${count}\n`).join("")}`);
if (counts.has("finding")) process.exitCode = 1;
