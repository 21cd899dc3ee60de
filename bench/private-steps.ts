/** `npm run bench:private`: what a private step costs beside a plain one of the same model and batch, whole steps both. */
import { pathToFileURL } from "node:url";
import { PrivateTrainer, sgd, Trainer } from "../src/index.js";
import { type Alternative, interleave } from "./measure.js";
import { type Workload, workloads } from "./workloads.js";

/** To reach: times a plain step. */
export const mostTimes = 1.3;

export interface Steps {
  /** A plain step, then a private one: data taken, gradients, noise, optimiser. */
  readonly alternatives: readonly [plain: Alternative, private_: Alternative];
  release(): Promise<void>;
}

export async function steps({ model, data, loss, samples }: Workload): Promise<Steps> {
  const common = { loss, optimizer: sgd({ learningRate: 1e-3, momentum: 0.9 }), batchSize: samples };
  const plain = await Trainer.create(model, data, common);
  // A batch of all samples on average is always all of them.
  const clipping = { noiseMultiplier: 1, maxGradNorm: 1, delta: 1e-5 };
  const secret = await PrivateTrainer.create(model, data, { ...common, ...clipping });
  return {
    alternatives: [
      { name: "plain step", run: async () => void (await plain.step()) },
      { name: "private step", run: async () => void (await secret.step()) },
    ],
    release: async () => {
      await plain.release();
      await secret.release();
    },
  };
}

async function main(seconds: number): Promise<void> {
  for (const make of workloads) {
    const workload = make();
    const { alternatives, release } = await steps(workload);
    const [plain, secret] = await interleave(alternatives, seconds);
    await release();
    const [before, after] = [plain?.median ?? Number.NaN, secret?.median ?? Number.NaN];
    const verdict = after / before <= mostTimes ? "reached" : "not reached";
    const times = `plain step ${before.toFixed(1)} ms, private step ${after.toFixed(1)} ms`;
    process.stdout.write(
      `${workload.name}: ${times}, ${(after / before).toFixed(2)} times (to reach: ${mostTimes}): ${verdict}\n`,
    );
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(Number(process.argv[2] ?? 8));
