/** The options of `npm start`. */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const usage = "Usage: npm start -- [--epochs N] [--seed N] [--out PATH]";

/** The fault lies outside the program: one sentence is enough, without a stack trace. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly exitCode: number,
  ) {
    super(message);
  }
}

export interface Options {
  readonly epochs: number;
  readonly seed: number;
  readonly out: string;
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 32) return value;
  throw new Failure(`--${name} must be a whole number from ${least} up, not "${text}". ${usage}`, 2);
}

/** Throws Failure. */
export function parseOptions(args: string[]): Options {
  const options = { epochs: { type: "string" }, seed: { type: "string" }, out: { type: "string" } } as const;
  try {
    const { values } = parseArgs({ args, options, allowPositionals: false });
    return {
      epochs: wholeNumber("epochs", values.epochs ?? "8", 1),
      seed: wholeNumber("seed", values.seed ?? "1", 0),
      // From dist/examples/digits to the root of the repository.
      out: resolve(values.out ?? fileURLToPath(new URL("../../../out/digits.html", import.meta.url))),
    };
  } catch (error) {
    if (error instanceof Failure || !(error instanceof TypeError)) throw error;
    throw new Failure(`${error.message.replace(/\.$/, "")}. ${usage}`, 2);
  }
}
