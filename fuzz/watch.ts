/** Runs cases in a process of their own, and ends it if they take too much time or memory. */
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Answer, started } from "./worker.js";

const limits = { milliseconds: 5000, bytes: 2 ** 30 } as const;
/** Milliseconds between two checks of time and memory. */
const interval = 20;
/** ONNX Runtime does not return all memory of a session, so a process is replaced after this many cases. */
const mostCases = 500;

interface Limits {
  readonly milliseconds: number;
  readonly bytes: number;
}

export class Watched {
  #child: ChildProcess | null = null;
  #count = 0;

  constructor(
    private readonly seed: number,
    private readonly most: Limits = limits,
  ) {}

  /** The outcome of one case. If a limit was exceeded, the case is tried again in a new process before it counts as a finding. */
  async run(index: number): Promise<Answer> {
    if (this.#count++ % mostCases === 0) this.close();
    const first = await this.#once(index);
    if (typeof first !== "string") return first;
    const again = await this.#once(index);
    if (typeof again !== "string") return again;
    return { what: "", outcome: { kind: "finding", problem: again }, peak: 0, base: 0 };
  }

  close(): void {
    this.#child?.kill("SIGKILL");
    this.#child = null;
  }

  /** A returned text says which limit was exceeded, or how the process died. */
  async #once(index: number): Promise<Answer | string> {
    this.#child ??= start(this.seed);
    const answer = await watch(this.#child, index, this.most);
    const result = typeof answer === "string" ? answer : (tooMuch(answer, this.most) ?? answer);
    if (typeof result === "string") this.close();
    return result;
  }
}

function start(seed: number): ChildProcess {
  const worker = fileURLToPath(new URL("./worker.js", import.meta.url));
  const execArgv = ["--max-old-space-size=1024"];
  return fork(worker, [String(seed)], {
    execArgv,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    serialization: "advanced",
  });
}

/** Detects a peak that was over before memory was checked. */
function tooMuch({ peak, base }: Answer, { bytes }: Limits): string | undefined {
  return peak - base > bytes ? `takes ${Math.round((peak - base) / 2 ** 20)} MB` : undefined;
}

/** The memory of a process in bytes, if the system reports it at little cost; otherwise the figures in `Answer` must do. */
function memoryOf(pid: number | undefined): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function watch(child: ChildProcess, index: number, { milliseconds, bytes }: Limits): Promise<Answer | string> {
  return new Promise((resolve) => {
    let [began, base, printed] = [Number.POSITIVE_INFINITY, 0, ""];
    const print = (chunk: Buffer) => {
      printed = `${printed}${chunk}`.slice(-2000);
    };
    const settle = (result: Answer | string) => {
      clearInterval(timer);
      child.removeAllListeners();
      child.stderr?.off("data", print);
      resolve(result);
    };
    const look = () => {
      const elapsed = performance.now() - began;
      const grown = memoryOf(child.pid) - base;
      if (elapsed > milliseconds) settle(`takes more than ${milliseconds} ms`);
      else if (elapsed > 0 && grown > bytes) settle(`takes ${Math.round(grown / 2 ** 20)} MB`);
    };
    const timer = setInterval(look, interval);
    child.stderr?.on("data", print);
    child.on("error", (error) => settle(`cannot be run: ${error.message}`));
    child.on("exit", (code, signal) => settle(`ends its process with ${signal ?? `code ${code}`}: ${printed}`));
    child.on("message", (message: typeof started | Answer) => {
      if (message !== started) return settle(message);
      began = performance.now();
      base = memoryOf(child.pid);
    });
    child.send(index);
  });
}
