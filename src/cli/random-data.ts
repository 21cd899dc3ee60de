/** Random data of the model's dimensions, for a profile without data. */

import type { Objective } from "../compile/objective.js";
import { targetName } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import { bindShape } from "../graph/dim.js";
import type { Expected } from "../graph/model.js";
import { type Random, random } from "../tensor/random.js";
import { arrayOf, isFloat, sizeOf, type Tensor, tensorWith, zeroTensor } from "../tensor/tensor.js";

/**
 * Every input and the target: floats of mean 0 and variance 1 (targets from 0 to 1), whole numbers 0 and 1 or within
 * the model's limits, and full lengths. The numbers are the same each time.
 */
export function randomData({ expected, loss, output }: Objective, samples: number): Record<string, Tensor> {
  const source = random(0);
  const drawn = [...expected].map(([name, each]) => [name, draw(each, name === targetName, samples, source)] as const);
  const data = Object.fromEntries(drawn);
  const target = data[targetName];
  if (!target || !loss.validate || fits(() => loss.validate?.(target, output.shape))) return data;
  return { ...data, [targetName]: zeros(target) };
}

function draw(
  { value: { dtype, shape }, atMost, labels = [] }: Expected,
  isTarget: boolean,
  samples: number,
  source: Random,
): Tensor {
  const dims = bindShape(shape, samples);
  const size = sizeOf(dims);
  if (dtype === "float16") return { dtype, dims, data: new Uint16Array(size) };
  const below = atMost === undefined ? Math.min(2, ...labels.map(({ classes }) => classes)) : 1;
  const least = atMost ?? 0;
  const numbers = isFloat(dtype)
    ? isTarget
      ? source.uniforms(size, 0, 1)
      : source.normals(size, 1)
    : source.uniforms(size, 0, below).map((each) => least + Math.floor(each));
  return tensorWith(dtype, dims, elements(dtype, numbers));
}

function elements(dtype: Tensor["dtype"], numbers: Float32Array): Tensor["data"] {
  if (dtype === "int64") return BigInt64Array.from(numbers, BigInt);
  if (dtype === "uint64") return BigUint64Array.from(numbers, BigInt);
  const data = new (arrayOf(dtype))(numbers.length);
  numbers.forEach((each, k) => {
    data[k] = each;
  });
  return data;
}

function zeros({ dtype, dims }: Tensor): Tensor {
  return zeroTensor(dtype, dims);
}

function fits(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof PergradError) return false;
    throw error;
  }
}
