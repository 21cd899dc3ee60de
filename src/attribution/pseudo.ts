/**
 * The generalised Gauss-Newton matrix as a sum over pseudo-gradients. If S_n = R R' is the Hessian of sample n's loss
 * in its output, J_n' S_n J_n is the sum over the columns r of R of (J_n' r)(J_n' r)'. Each J_n' r is the gradient of
 * the scalar o_n . r. So a data set that has a sample for each column, with r as its target, has them as its gradients.
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { PergradError } from "../errors.js";
import { isBatch } from "../graph/dim.js";
import type { Loss } from "../nn/loss.js";
import type { Batch, Dataset } from "../program/given-data.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { outputGradient, outputHessian } from "../wants/curvature.js";
import type { Checkpoint } from "./checkpoint.js";

/** The most elements of a sample's output: the loss's second derivative in it has the square of that. */
export const mostElements = 1024;
/**
 * If there are more columns than this, those with the smallest eigenvalues, which add up to `spared` of all, are left
 * out.
 */
const mostWhole = 4096;
const spared = 1e-2;

/** Samples whose losses are scalars o . r: this pulls any vectors in the space of outputs back to the parameters. */
export class PulledBack {
  /** The same model with these losses. */
  readonly scalars: Checkpoint;
  readonly #own: readonly number[];

  private constructor(private readonly checkpoint: Checkpoint) {
    this.#own = ownShape(checkpoint);
    this.scalars = checkpoint.with({ loss: along, target: { shape: ["N", ...this.#own] } });
  }

  /** Undefined if a sample's output has more than `mostElements`. */
  static of(checkpoint: Checkpoint): PulledBack | undefined {
    return elementsOf(checkpoint) <= mostElements ? new PulledBack(checkpoint) : undefined;
  }

  /** Samples whose scalars have the same gradients as the samples' losses. */
  async losses(data: Dataset): Promise<Batch[]> {
    const size = sizeOf(this.#own);
    const roots: Root[] = [];
    for await (const { from, to, results } of this.checkpoint.stream({ gradient: outputGradient() }, data))
      for (let sample = from; sample < to; sample++) {
        const at = (sample - from) * size;
        roots.push({ sample, value: 1, root: results.gradient.data.slice(at, at + size) });
      }
    return this.#samples(data, roots);
  }

  /** Samples whose scalars' gradients have outer products that add up to N times the mean Gauss-Newton matrix. */
  async pseudo(data: Dataset): Promise<Batch[]> {
    const roots = await rootsOf(this.checkpoint, data, sizeOf(this.#own));
    return this.#samples(data, withoutNegligible(roots));
  }

  /** Samples of the data, with these vectors as targets. */
  async #samples(data: Dataset, roots: readonly Root[]): Promise<Batch[]> {
    const size = sizeOf(this.#own);
    const found: Batch[] = [];
    let from = 0;
    for await (const { feeds, samples } of this.checkpoint.blocks(data)) {
      const here = roots.filter(({ sample }) => sample >= from && sample < from + samples);
      const places = Uint32Array.from(here, ({ sample }) => sample - from);
      from += samples;
      if (here.length === 0) continue;
      const numbers = new Float32Array(here.length * size);
      for (const [k, { root }] of here.entries()) numbers.set(root, k * size);
      const target: Tensor = { dtype: "float32", dims: [here.length, ...this.#own], data: numbers };
      found.push({ ...this.checkpoint.picked(feeds, places), target });
    }
    return found;
  }
}

/** The shape of one sample's output; NaN where it depends on the batch. */
function ownShape({ objective: { output } }: Checkpoint): number[] {
  return output.shape.slice(1).map((dim) => (isBatch(dim) ? Number.NaN : dim));
}

/** The number of elements of one sample's output. */
export function elementsOf(checkpoint: Checkpoint): number {
  return sizeOf(ownShape(checkpoint));
}

/** The scalar o . r of each sample, where r is its target. */
const along: Loss = {
  name: "along",
  target: ({ shape }) => ({ dtype: "float32", shape }),
  apply: (output, target) => {
    if (!target)
      throw new PergradError("INTERNAL", "The scalars of pseudo-gradients lack their target; please report it.");
    const axes = [...output.value.shape.keys()].slice(1);
    return axes.length === 0 ? output.mul(target) : output.mul(target).sum(axes);
  },
};

interface Root {
  readonly sample: number;
  /** The eigenvalue of S_n. */
  readonly value: number;
  /** Its eigenvector times the root of the eigenvalue. */
  readonly root: Float32Array;
}

/** In the order of the samples. */
function withoutNegligible(roots: readonly Root[]): readonly Root[] {
  if (roots.length <= mostWhole) return roots;
  const total = roots.reduce((sum, { value }) => sum + value, 0);
  let left = spared * total;
  const dropped = new Set<Root>();
  for (const root of [...roots].sort((a, b) => a.value - b.value)) {
    left -= root.value;
    if (left < 0) break;
    dropped.add(root);
  }
  return roots.filter((root) => !dropped.has(root));
}

async function rootsOf(checkpoint: Checkpoint, train: Dataset, elements: number): Promise<Root[]> {
  const found: Root[] = [];
  for await (const { from, to, results } of checkpoint.stream({ hessian: outputHessian() }, train))
    for (let n = from; n < to; n++) {
      const at = (n - from) * elements * elements;
      found.push(...rootsOfOne(n, results.hessian.data.subarray(at, at + elements * elements), elements));
    }
  return found;
}

function rootsOfOne(sample: number, hessian: Float32Array, elements: number): Root[] {
  const matrix = Matrix.from1DArray(elements, elements, hessian);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix.add(matrix.transpose()).mul(0.5), {
    assumeSymmetric: true,
  });
  return realEigenvalues.flatMap((value, k) => {
    if (!(value > 0)) return [];
    const root = Float32Array.from(eigenvectorMatrix.getColumn(k), (x) => x * Math.sqrt(value));
    return [{ sample, value, root }];
  });
}
