/** Private training through a folder, answered by a process that may be late, answer twice, or refuse: as on one machine. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { losses, nn, PrivateTrainer, sgd, type TrainingWorkers, tensor } from "../../src/index.js";
import { readTensors, writeTensors } from "../../src/io/files.js";
import { type Answering, FolderRuntime, only, type Question } from "../../src/target/onnxruntime/folder-runtime.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import type { Session } from "../../src/target/runtime.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { StepPool } from "../../src/train/step-workers.js";

const samples = 24;
const model = nn.model(nn.sequential(nn.linear(4, 5), nn.relu(), nn.linear(5, 3)), { seed: 3 });
const data = {
  x: tensor(
    "float32",
    [samples, 4],
    Float32Array.from({ length: samples * 4 }, (_, k) => Math.sin(k * k)),
  ),
  target: tensor(
    "int64",
    [samples],
    BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 3)),
  ),
};
const options = {
  loss: losses.crossEntropy(),
  optimizer: sgd({ learningRate: 1 }),
  batchSize: 16,
  microbatchSize: 4,
  maxNorm: 0.3,
  noiseMultiplier: 1,
  delta: 1e-5,
  seed: 5,
};

/** What becomes of a question: an answer, one that comes again, an error, or none until it is asked for the second time. */
type Fate = "answered" | "twice" | "refused" | "late";

/** Answers the questions of a folder in this process. */
class Answerer implements Answering {
  readonly #sessions = new Map<string, Promise<Session>>();
  readonly #seen = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #busy = Promise.resolve();

  constructor(
    private readonly folder: string,
    private readonly fate: () => Fate,
  ) {
    this.#timer = setInterval(() => {
      for (const name of readdirSync(folder).filter((each) => /^ask-\w+\.json$/.test(each))) this.#look(name);
    }, 5);
  }

  #look(name: string): void {
    const seen = this.#seen.get(name) ?? 0;
    this.#seen.set(name, seen + 1);
    if (seen > 1) return;
    const fate = seen === 0 ? this.fate() : "answered";
    if (seen === 0 && fate === "late") return;
    if (seen === 1 && !existsSync(join(this.folder, name))) return;
    this.#busy = this.#busy.then(() => this.#answer(name, fate)).catch(() => undefined);
  }

  async #answer(name: string, fate: Fate): Promise<void> {
    const id = name.slice("ask-".length, -".json".length);
    const path = join(this.folder, `answer-${id}`);
    if (fate === "refused") return writeFileSync(`${path}.json`, JSON.stringify({ message: "no memory." }));
    const { program, feeds }: Question = JSON.parse(readFileSync(join(this.folder, name), "utf8"));
    const session = this.#sessions.get(program) ?? nodeRuntime.load(readFileSync(join(this.folder, program)));
    this.#sessions.set(program, session);
    const fed: Record<string, Tensor> = {};
    for (const [input, file] of Object.entries(feeds)) {
      const found = (await readTensors(join(this.folder, file))).get(only);
      if (found) fed[input] = found;
    }
    const results = new Map(Object.entries(await (await session).run(fed)));
    for (let k = 0; k < (fate === "twice" ? 2 : 1); k++) await writeTensors(`${path}.safetensors`, results);
  }

  async check(): Promise<void> {}

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#busy;
    for (const session of this.#sessions.values()) await (await session).release();
  }
}

function workersOf(folder: string, fate: () => Fate): TrainingWorkers {
  return {
    begin: async ({ clipper }) => {
      const runtime = new FolderRuntime(folder, new Answerer(folder, fate));
      const own = await clipper({ workers: runtime });
      const pool = new StepPool(async () => ({ clip: own.clip.bind(own), release: async () => {} }), 3);
      const release = async () => {
        await own.release();
        await runtime.release();
      };
      return { clip: (parts, run) => pool.clip(parts, run), release };
    },
  };
}

it("gives the weights and the ledger of one machine, and leaves no file of a step behind", async () => {
  const steps = 2;
  const alone = await PrivateTrainer.create(model, data, options);
  for (let step = 0; step < steps; step++) await alone.step();
  const fates = fc.array(fc.constantFrom<Fate>("answered", "twice", "refused", "late"), { maxLength: 9 });
  await fc.assert(
    fc.asyncProperty(fates, async (drawn) => {
      const folder = mkdtempSync(join(tmpdir(), "pergrad-answers-"));
      let asked = 0;
      // No part is refused four times.
      const fate = () => (asked++ % 3 === 2 ? "answered" : (drawn[asked - 1] ?? "answered"));
      const trainer = await PrivateTrainer.create(model, data, { ...options, cluster: workersOf(folder, fate) });
      try {
        for (let step = 0; step < steps; step++) await trainer.step();
        for (const [name, { data: expected }] of Object.entries(alone.parameters))
          expect(trainer.parameters[name]?.data).toEqual(expected);
        expect(trainer.state().ledger).toEqual(alone.state().ledger);
        expect(readdirSync(folder).filter((name) => /^(ask|tensor)-/.test(name))).toEqual([]);
      } finally {
        await trainer.release();
        rmSync(folder, { recursive: true, force: true });
      }
    }),
    { numRuns: 6 },
  );
  await alone.release();
});
