/** `npm run fuzz`: damaged and hostile models are loaded or refused; nothing crashes, hangs, or takes all memory. */
import { parseArgs } from "node:util";
import type { Outcome } from "./attempt.js";
import { Watched } from "./watch.js";

const { values: options } = parseArgs({
  options: {
    cases: { type: "string", default: "20000" },
    seed: { type: "string", default: "0" },
    /** Runs only this case, to reproduce a finding. */
    only: { type: "string" },
    /** The first case. */
    from: { type: "string", default: "0" },
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
const from = wholeNumber(options.only ?? options.from, options.only === undefined ? "from" : "only");
const to = from + (options.only === undefined ? cases : 1);

const counts = new Map<string, number>();
const add = (key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
const keyOf = (outcome: Outcome) => {
  if (outcome.kind === "loaded") return `loaded, ${outcome.as}`;
  return outcome.kind === "refused" ? outcome.code : outcome.kind;
};
const watched = new Watched(seed);
for (let index = from; index < to; index++) {
  const { what, outcome } = await watched.run(index);
  add(keyOf(outcome));
  if (outcome.kind === "finding") {
    process.stdout.write(`--seed ${seed} --only ${index} (${what || "stopped"}): ${outcome.problem}\n`);
  } else if (options.only !== undefined) {
    process.stdout.write(`${what}: ${outcome.kind}\n`);
  }
  if ((index + 1) % 1000 === 0) process.stderr.write(`${index + 1} of ${to}\n`);
}
watched.close();

const sorted = [...counts].sort(([, a], [, b]) => b - a);
process.stdout.write(`${to - from} cases\n${sorted.map(([key, count]) => `  ${key}: ${count}\n`).join("")}`);
if (counts.has("finding")) process.exitCode = 1;
