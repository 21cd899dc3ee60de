/** DFT and STFT, which are linear in the signal. */

import type { Array64 } from "../../float64/array64.js";
import { zeros64 } from "../../float64/array64.js";
import { transformLine } from "../../float64/fourier64.js";
import { fixedSize, isBatch, type Shape, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { apartFrom, intAttribute, interaction, knownInt, part, requireInput, shapeMismatch } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { requireConstant } from "../limits.js";
import { isReal, transformOf } from "../subgraphs/transform-axis.js";

// DFT

function evaluateTransform([x]: readonly (Array64 | null)[], node: Node): Array64[] {
  const { dims, data } = present(x);
  const along = transformOf(node);
  const { axis, size, gives, reads, realIn, realOut } = along;
  const [from, to] = [realIn ? 1 : 2, realOut ? 1 : 2];
  const inner = sizeOf(dims.slice(axis + 1, -1));
  const result = zeros64([...dims.slice(0, axis), gives, ...dims.slice(axis + 1, -1), to]);
  for (let line = 0; line < sizeOf(dims.slice(0, axis)) * inner; line++) {
    const [outer, within] = [Math.floor(line / inner), line % inner];
    const own = Float64Array.from({ length: reads * from }, (_, at) => {
      return data[((outer * size + Math.floor(at / from)) * inner + within) * from + (at % from)] as number;
    });
    transformLine(own, along).forEach((element, at) => {
      result.data[((outer * gives + Math.floor(at / to)) * inner + within) * to + (at % to)] = element;
    });
  }
  return [result];
}

/** The elements of `x` along the axis that the transform reads, with zeros for those missing. */
function padded(build: Build, x: Value, axis: number, reads: number, size: number): Value {
  const cut = x.shape[axis] === reads ? x : build.slice(x, axis, 0, reads);
  const amounts = x.shape.map((_, k) => (k === axis ? size - reads : 0));
  return build.pad(
    cut,
    x.shape.map(() => 0),
    amounts,
  );
}

/**
 * The transposed map is the transform in the other direction. The cotangent of a signal is the inverse transform of the
 * spectrum's cotangent, times the length. The cotangent of a spectrum is the forward transform of the signal's
 * cotangent, divided by the length.
 */
function differentiateTransform(node: Node, dy: Value, build: Build): Value {
  const { axis, size, length, inverse, onesided, reads, realIn } = transformOf(node);
  const places = [build.ints([length], []), build.ints([axis], [])];
  if (inverse && onesided) {
    const spectrum = build.op("DFT", [dy, ...places], { inverse: 0, onesided: 1 });
    const bins = fixedSize(spectrum.shape, axis);
    const counted = Array.from({ length: bins }, (_, k) => (k > 0 && 2 * k < length ? 2 : 1) / length);
    const weights = build.floats(counted, [bins, ...dy.shape.slice(axis + 1).map(() => 1)], dy);
    return padded(build, build.mul(spectrum, weights), axis, reads, size);
  }
  const back = build.op("DFT", [dy, ...places], { inverse: inverse ? 0 : 1, onesided: 0 });
  const scaled = build.scale(back, inverse ? 1 / length : length);
  const real = realIn ? build.slice(scaled, dy.shape.length - 1, 0, 1) : scaled;
  return padded(build, real, axis, reads, size);
}

const dft: OpDefinition = {
  op: "DFT",
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    const { axis, gives, realOut } = transformOf(call);
    const along = shape.map((dim, k) => (k === axis ? gives : dim));
    return [{ dtype, shape: [...along.slice(0, -1), realOut ? 1 : 2] }];
  },
  evaluate: evaluateTransform,
  differentiate: (node, [dy], build) => [differentiateTransform(node, present(dy), build), null, null],
  batch: (node, [x], _batched, build) => {
    const { axis, length } = transformOf(node);
    return [build.op("DFT", [present(x), build.ints([length], []), build.ints([axis + 1], [])], node.attributes)];
  },
  sampleAxis: (node, [at]) => {
    const { axis } = transformOf(node);
    const last = inputOf(node, 0).shape.length - 1;
    return [apartFrom(node, at ?? null, [axis, last], "transforms along the sample axis")];
  },
};

// STFT

interface Frames {
  readonly count: number;
  readonly length: number;
  readonly step: number;
}

function framesOf(call: Call | Node): Frames {
  const { shape } = requireInput(call, 0);
  isReal(call);
  const size = nth(shape, 1);
  if (shape.length !== 3) throw shapeMismatch(part(call, `the signal ${showShape(shape)}`), "is not of rank 3");
  if (isBatch(size)) throw interaction(call, "cuts the sample axis into frames");
  const window = call.inputs[2]?.shape;
  const length = knownInt(call, 3) ?? window?.[0] ?? size;
  const step = knownInt(call, 1) ?? 0;
  if (isBatch(length) || length < 1 || step < 1 || length > size)
    throw shapeMismatch(
      call,
      `cuts frames of ${showShape([length])} elements, one every ${step}, which do not fit its signal of ${size}`,
    );
  if (window && !(window.length === 1 && window[0] === length))
    throw shapeMismatch(
      part(call, `the window ${showShape(window)}`),
      `is not as long as a frame, which has ${length} elements`,
    );
  const count = Math.floor((size - length) / step) + 1;
  requireConstant(call, count * length, "a table of places");
  return { count, length, step };
}

const stft: OpDefinition = {
  op: "STFT",
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    const { count, length } = framesOf(call);
    const bins = intAttribute(call, "onesided", 1) !== 0 ? Math.floor(length / 2) + 1 : length;
    return [{ dtype, shape: [nth(shape, 0), count, bins, 2] }];
  },
  decompose: (node, build) => {
    const [signal, , window] = inputsOf(node, 2);
    const { count, length, step } = framesOf(node);
    const places = Array.from({ length: count * length }, (_, at) => Math.floor(at / length) * step + (at % length));
    const frames = build.gather(signal, build.ints(places, [count, length]), 1);
    const weighed = window ? build.mul(frames, build.unsqueeze(window, [1])) : frames;
    const onesided = intAttribute(node, "onesided", 1) !== 0;
    const real = signal.shape[2] === 1;
    const given = [weighed, build.ints([length], []), build.ints([2], [])];
    const spectrum = build.op("DFT", given, { inverse: 0, onesided: onesided && real ? 1 : 0 });
    const shape: Shape = outputOf(node, 0).shape;
    return [onesided && !real ? build.slice(spectrum, 2, 0, nth(shape, 2)) : spectrum];
  },
};

export const fourier: readonly OpDefinition[] = [dft, stft];
