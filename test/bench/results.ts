/** Made-up results of a benchmark, small and round. */
import type { BenchmarkResults, Measured, PeerTiming } from "../../bench/results.js";

const timing = (name: string, median: number) => ({ name, median, low: median * 0.9, high: median * 1.2, rounds: 9 });

export const peer = (name: string, kind: PeerTiming["kind"], median: number): PeerTiming => ({
  ...timing(name, median),
  kind,
  ...(kind === "materialised" ? {} : { difference: 2e-7 }),
});

export interface Times {
  readonly mean: number;
  readonly clipped: number;
  /** Bytes. */
  readonly meanMemory?: number;
  readonly clippedMemory?: number;
}

export function measured(id: string, times: Times, peers: readonly PeerTiming[] = []): Measured {
  const { mean, clipped, meanMemory = 10e6, clippedMemory = 11e6 } = times;
  return {
    id,
    name: `network ${id}`,
    samples: 4,
    elements: 1000,
    compile: { "mean gradient": 20, "norms + clipped sum": 30 },
    memory: {
      source: "made up",
      materialised: 16_000,
      programs: [
        { name: "mean gradient", needed: meanMemory, arena: 2 * meanMemory },
        { name: "norms + clipped sum", needed: clippedMemory, arena: 2 * clippedMemory },
      ],
    },
    timings: [timing("mean gradient", mean), timing("norms + clipped sum", clipped), timing("naive loop", 40)],
    peers,
    refused: {},
    profiles: {
      "mean gradient": [
        { op: "Gemm", milliseconds: 3, nodes: 4 },
        { op: "Relu", milliseconds: 1, nodes: 2 },
      ],
      "norms + clipped sum": [
        { op: "Gemm", milliseconds: 3.5, nodes: 4 },
        { op: "ReduceSumSquare", milliseconds: 2, nodes: 8 },
      ],
    },
  };
}

export function results(workloads: readonly Measured[]): BenchmarkResults {
  const machine = { processor: "Abacus", cores: 2, node: "v20", onnxruntime: "1.30.0", matmul: 100, load: 0.1 };
  return { date: "2026-01-31", seconds: 1, machine, versions: { PyTorch: { torch: "2.0" } }, workloads, real: [] };
}
