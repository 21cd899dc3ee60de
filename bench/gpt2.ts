/** GPT-2 in its published sizes, with randomly drawn weights: measures the time and memory of large models. */
import { losses, nn } from "../src/index.js";
import { makeWorkload, textModel, type Workload, type WorkloadSpec } from "./workloads.js";

interface Size {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
}

/** From Radford et al. (2019), table 2; 124 and 1,558 million parameters. */
const sizes = {
  gpt2: { layers: 12, width: 768, heads: 12 },
  "gpt2-xl": { layers: 48, width: 1600, heads: 25 },
} as const satisfies Record<string, Size>;

export type Gpt2Name = keyof typeof sizes;

export const gpt2Names = Object.keys(sizes) as readonly Gpt2Name[];

const [vocabulary, mostPositions] = [50_257, 1024];

function module({ layers, width, heads }: Size): nn.Module {
  const words = nn.embedding(vocabulary, width, { deviation: 0.02 });
  const options = { feedForward: 4 * width, activation: "gelu", normFirst: true, causal: true } as const;
  const blocks = Array.from({ length: layers }, () => nn.transformerEncoderLayer(width, heads, options));
  const positions = nn.positional(mostPositions, width, { deviation: 0.01 });
  return nn.sequential(words, positions, ...blocks, nn.layerNorm(width), nn.tied(words));
}

function specOf(id: Gpt2Name, samples: number, positions: number): WorkloadSpec {
  return {
    id,
    name: id === "gpt2" ? "GPT-2 small" : "GPT-2 XL",
    samples,
    module: () => textModel(module(sizes[id]), positions),
    input: [positions],
    vocabulary,
    classes: vocabulary,
    labels: [positions],
  };
}

/** Texts with the given number of tokens. */
export function gpt2(id: Gpt2Name, samples: number, positions: number): Workload {
  return { ...makeWorkload(specOf(id, samples, positions)), loss: losses.crossEntropy() };
}
