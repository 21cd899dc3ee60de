/** One peer's process, which exchanges lines of JSON with us; protocol.py defines them. */
import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import type { Took } from "../measure.js";

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

/** Seconds until the greeting. */
const startLimit = 60;

type Answer = Readonly<Record<string, unknown>>;

/** Thrown in place of an answer: the peer failed, with or without giving a reason. */
export class PeerFailure extends Error {
  override readonly name = "PeerFailure";
}

export interface Greeting {
  readonly peer: string;
  readonly versions: Readonly<Record<string, string>>;
}

export class PeerProcess {
  readonly #child: ChildProcess;
  readonly #waiting: { resolve(answer: Answer): void; reject(error: PeerFailure): void }[] = [];
  #ended: PeerFailure | undefined;

  private constructor(command: Command, count: number) {
    // Older OpenBLAS builds need these settings on some processors; they only slow down a current build.
    const { OPENBLAS_CORETYPE: _, OPENBLAS_L2_SIZE: __, ...env } = process.env;
    const threads = `${count}`;
    this.#child = spawn(command.file, command.args, {
      stdio: ["pipe", "pipe", "ignore"],
      env: { ...env, OMP_NUM_THREADS: threads, PEER_THREADS: threads },
    });
    this.#child.on("error", (error) => this.#end(`the process did not start (${error.message})`));
    this.#child.on("exit", (code, signal) => this.#end(`the process ended with ${signal ?? `exit code ${code}`}`));
    this.#child.stdin?.on("error", () => {}); // the event "exit" reports its end
    if (this.#child.stdout) createInterface(this.#child.stdout).on("line", (line) => this.#answered(line));
  }

  /**
   * @param limit seconds until the greeting
   * Throws PeerFailure if it cannot be started, for example because a package is missing.
   */
  static async start(
    command: Command,
    threads = availableParallelism(),
    limit = startLimit,
  ): Promise<{ process: PeerProcess; greeting: Greeting }> {
    const process = new PeerProcess(command, threads);
    return { process, greeting: (await process.#next("starting", limit)) as unknown as Greeting };
  }

  /**
   * @param limit seconds that it may take; a process that needs more is ended
   * Throws PeerFailure.
   */
  ask(request: Readonly<Record<string, unknown>> & { readonly do: string }, limit: number): Promise<Answer> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    return this.#next(`"${request.do}"`, limit);
  }

  /**
   * The time that a run of a prepared alternative takes, in its process.
   * Throws PeerFailure.
   */
  async time(name: string, times: number, limit: number): Promise<Took> {
    const { milliseconds, cpu } = await this.ask({ do: "run", name, times }, limit);
    return { wall: Number(milliseconds), ...(cpu === undefined ? {} : { cpu: Number(cpu) }) };
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }

  #next(what: string, limit: number): Promise<Answer> {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#end(`${what} took more than ${limit} s`);
        this.stop();
      }, limit * 1000);
      const done = () => clearTimeout(late);
      this.#waiting.push({
        resolve: (answer) => {
          done();
          resolve(answer);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
    });
  }

  #answered(line: string): void {
    const waiting = this.#waiting.shift();
    const answer = parsed(line);
    if (typeof answer.error === "string") waiting?.reject(new PeerFailure(answer.error));
    else waiting?.resolve(answer);
  }

  #end(reason: string): void {
    this.#ended ??= new PeerFailure(reason);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}

function parsed(line: string): Answer {
  try {
    return JSON.parse(line) as Answer;
  } catch {
    return { error: `it answered what is no JSON: ${line.slice(0, 80)}` };
  }
}
