/** The first of several runtimes that is installed. */
import { messageOf, PergradError } from "../../errors.js";
import type { RuntimeOptions, Session } from "../runtime.js";
import type { ProfiledRuntime } from "../target.js";

/** A runtime that is looked for when it is first needed. Asking for its version shows whether it is installed. */
export class FirstInstalled implements ProfiledRuntime {
  #found: ProfiledRuntime | undefined;

  /** @param candidates by package name, the best first */
  constructor(private readonly candidates: readonly (readonly [name: string, runtime: ProfiledRuntime])[]) {}

  /** Throws RUNTIME if none is installed. */
  get runtime(): ProfiledRuntime {
    this.#found ??= firstOf(this.candidates);
    return this.#found;
  }

  get version(): string {
    return this.runtime.version;
  }

  get atOnce(): boolean {
    return this.runtime.atOnce;
  }

  get mostMemory(): number | undefined {
    return this.runtime.mostMemory;
  }

  get profiler(): ProfiledRuntime["profiler"] {
    return this.runtime.profiler;
  }

  async load(model: string | Uint8Array, options?: RuntimeOptions): Promise<Session> {
    return this.runtime.load(model, options);
  }
}

function firstOf(candidates: FirstInstalled["candidates"]): ProfiledRuntime {
  const reasons: unknown[] = [];
  for (const [, runtime] of candidates) {
    try {
      if (runtime.version) return runtime;
    } catch (error) {
      reasons.push(error);
    }
  }
  const problems = candidates.map(
    ([name], k) => `${name} ${isAbsent(reasons[k]) ? "is not installed" : why(reasons[k])}`,
  );
  throw new PergradError(
    "RUNTIME",
    `There is no runtime: ${problems.join(", and ")}; run "npm install ${candidates.map(([name]) => name).join('" or "npm install ')}".`,
    { cause: reasons[0] },
  );
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND";
}

function why(error: unknown): string {
  const message = messageOf(error);
  return `cannot be loaded (${message.split("\n", 1).join().replace(/\.$/, "")})`;
}
