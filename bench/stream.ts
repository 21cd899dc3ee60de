/** The rate at which all gradients arrive in JavaScript, beside a plain copy of as many bytes; and the overhead of a worker thread. */
import { type Program, perSample, want } from "../src/index.js";
import { interleave, type Timing, timed } from "./measure.js";
import { makeWorkload, workloads } from "./workloads.js";

export interface StreamResults {
  /** The workload's name and batch size. */
  readonly name: string;
  readonly samples: number;
  /** Bytes of all gradients of the batch. */
  readonly bytes: number;
  /** Times for all gradients, by the way in which they arrive, and for a copy of as many bytes within a cache. */
  readonly ways: readonly Timing[];
  /** Times of one run for the norms: in the calling thread, and in another thread. */
  readonly runs: readonly Timing[];
}

/** The way to which the target refers. */
export const fastestWay = "stream, reuse";

const gradients = { gradients: want.gradients() };

async function drain(
  program: Program<typeof gradients>,
  data: Parameters<typeof program.stream>[0],
  reuse: boolean,
): Promise<void> {
  for await (const { results } of program.stream(data, { reuse, inPlace: true }))
    if (Object.values(results.gradients).some((tensor) => Number.isNaN(tensor.data[0]))) throw new Error("NaN");
}

/** A copy of this many bytes, 1 MiB at a time within 4 MiB. */
function copier(bytes: number): () => Promise<void> {
  const megabyte = new Float32Array(2 ** 18).fill(1);
  const target = new Float32Array(2 ** 20);
  return async () => {
    for (let done = 0; done < bytes; done += 2 ** 20) target.set(megabyte, (done / 4) % 2 ** 20);
  };
}

/** @param seconds of interleaved runs */
export async function measureStream(seconds: number): Promise<StreamResults> {
  const spec = workloads.find(({ id }) => id === "mlp");
  if (!spec) throw new RangeError("there is no workload mlp");
  const { model, data, samples, loss, name } = makeWorkload(spec);
  const elements = Object.values(model.parameters).reduce((total, tensor) => total + tensor.data.length, 0);
  const bytes = 4 * samples * elements;
  const here = await perSample(model, { loss, want: gradients });
  const elsewhere = await perSample(model, { loss, want: gradients, workers: true });
  const ways = await interleave(
    [
      timed("one run", () => here.run(data)),
      timed("stream", () => drain(here, data, false)),
      timed(fastestWay, () => drain(here, data, true)),
      timed("stream, reuse, in a worker thread", () => drain(elsewhere, data, true)),
      timed("a copy within the cache", copier(bytes)),
    ],
    seconds,
  );
  await Promise.all([here.release(), elsewhere.release()]);
  const norms = { norms: want.norms() };
  const [own, other] = [
    await perSample(model, { loss, want: norms }),
    await perSample(model, { loss, want: norms, workers: true }),
  ];
  const runs = await interleave(
    [timed("norms", () => own.run(data)), timed("norms, in a worker thread", () => other.run(data))],
    seconds / 2,
  );
  await Promise.all([own.release(), other.release()]);
  return { name, samples, bytes, ways, runs };
}
