/**
 * ONNX Runtime on other machines, reached through a folder that they share with this one. A run is a question in the
 * folder: which program, and which files hold its feeds. The answerer writes the results under another name and renames
 * them, so that an answer is always complete, and answering twice changes nothing. `python/pergrad_worker/answering.py`
 * answers.
 */
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PergradError } from "../../errors.js";
import { makeFolder, writeFileSafely } from "../../io/atomic.js";
import { readTensors, writeTensors } from "../../io/files.js";
import { copiesOf } from "../../tensor/data.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { RuntimeOptions, Session } from "../runtime.js";
import type { WorkerPool } from "../target.js";
import { fedTensor, releasedError } from "./exchange.js";
import { disabledOptimizers } from "./optimizers.js";

/** The machines that answer. */
export interface Answering {
  /** Called now and then during the wait for an answer. Throws if there will be none. */
  check(): Promise<void>;
  release(): Promise<void>;
}

/** The contents of a question's file. */
export interface Question {
  /** Names of files in the folder. */
  readonly program: string;
  /** ONNX Runtime's optimizers that the session leaves out, separated by semicolons. */
  readonly disabled: string;
  /** For each input, the file that holds it as "tensor". */
  readonly feeds: Readonly<Record<string, string>>;
}

/** The name of the single tensor in a file. */
export const only = "tensor";

/** Milliseconds between two looks for an answer: at first, and at most. */
const [soon, later] = [5, 100];

/** Milliseconds between two checks that somebody still answers. */
const checked = 2000;

export class FolderRuntime implements WorkerPool {
  readonly atOnce = false;
  readonly version = "onnxruntime behind a folder";
  /** Files of tensors, with the pending questions that name them. A file that none names is removed. */
  readonly #files = new Map<string, { users: number; readonly written: Promise<void> }>();

  constructor(
    private readonly folder: string,
    private readonly answering: Answering,
  ) {}

  async load(model: string | Uint8Array, options: RuntimeOptions = {}): Promise<Session> {
    if (options.files && options.files.size > 0)
      throw new PergradError(
        "INVALID_ARGUMENT",
        "Weights are fed to programs on a cluster; leave holdParameters false.",
      );
    const bytes = typeof model === "string" ? new Uint8Array(await readFile(model)) : model;
    await makeFolder(this.folder);
    const program = `program-${digestOf(bytes)}.onnx`;
    if (!existsSync(join(this.folder, program))) await writeFileSafely(join(this.folder, program), bytes);
    const disabled = disabledOptimizers(options);
    let released = false;
    return {
      run: async (feeds) => {
        if (released) throw releasedError();
        return this.#run(program, disabled, feeds);
      },
      release: async () => {
        released = true;
      },
    };
  }

  async release(): Promise<void> {
    await this.answering.release();
  }

  async #run(
    program: string,
    disabled: string,
    feeds: Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>> {
    // Read before the first await: the caller may overwrite it afterwards.
    const held = Object.entries(feeds).map(([name, tensor]) => [name, this.#held(fedTensor(name, tensor))] as const);
    try {
      await Promise.all(held.map(([, { written }]) => written));
      const names = Object.fromEntries(held.map(([name, { file }]) => [name, file]));
      return await this.#asked({ program, disabled, feeds: names });
    } finally {
      await Promise.all(held.map(([, { file }]) => this.#left(file)));
    }
  }

  /** Weights are the same for all parts of a step: a file is named by its contents. */
  #held(tensor: Tensor): { readonly file: string; readonly written: Promise<void> } {
    const { dtype, dims, data } = tensor;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const file = `tensor-${digestOf(new TextEncoder().encode(`${dtype} ${dims.join(" ")}`), bytes)}.safetensors`;
    const known = this.#files.get(file);
    if (known) {
      known.users++;
      return { file, written: known.written };
    }
    const written = writeTensors(join(this.folder, file), new Map(Object.entries(copiesOf({ [only]: tensor }))));
    this.#files.set(file, { users: 1, written });
    return { file, written };
  }

  async #left(file: string): Promise<void> {
    const own = this.#files.get(file);
    if (!own) return;
    own.users--;
    if (own.users > 0) return;
    // The next part of the step is requested at once; its weights should still be there.
    await sleep(0);
    if (own.users > 0) return;
    this.#files.delete(file);
    await rm(join(this.folder, file), { force: true });
  }

  async #asked(question: Question): Promise<Record<string, Tensor>> {
    const id = randomBytes(12).toString("hex");
    const ask = join(this.folder, `ask-${id}.json`);
    const answer = join(this.folder, `answer-${id}.safetensors`);
    const refusal = join(this.folder, `answer-${id}.json`);
    await writeFileSafely(ask, new TextEncoder().encode(JSON.stringify(question)));
    try {
      await this.#answered([answer, refusal]);
      if (existsSync(refusal)) throw refused(await readFile(refusal, "utf8"));
      return Object.fromEntries(await readTensors(answer));
    } finally {
      for (const path of [ask, answer, refusal]) await rm(path, { force: true });
    }
  }

  async #answered(paths: readonly string[]): Promise<void> {
    let next = Date.now() + checked;
    for (let pause = soon; !paths.some(existsSync); pause = Math.min(later, pause * 1.2)) {
      await sleep(pause);
      if (Date.now() < next) continue;
      await this.answering.check();
      next = Date.now() + checked;
    }
  }
}

function refused(text: string): PergradError {
  const { message = "" }: { readonly message?: string } = JSON.parse(text);
  return new PergradError("RUNTIME", `A worker failed to run a program: ${message.replace(/\.$/, "")}.`);
}

function digestOf(...parts: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex").slice(0, 32);
}
