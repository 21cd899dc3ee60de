/** Add, Sub, Mul, Div, Neg, Pow, Mod, and the variadic Sum, Mean, Max, Min. */

import { array64, broadcastDims, broadcastTo } from "../../float64/array64.js";
import { differences, products, quotients, sums } from "../../float64/pairs64.js";
import { add, type Dim, divide, factorOf, isBatch, multiply } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import { elementsOfConstant, type Node, nodeOf, type Value, type ValueType } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { broadcastShape, intAttribute, requireInput } from "../checks.js";
import { type DerivativeRule, having, type OpDefinition, perhaps } from "../definition.js";
import { binary, elementwise, misses, unary } from "../elementwise.js";
import {
  alwaysFinite,
  anything,
  greater,
  negative,
  powers,
  product,
  quotient,
  type Range,
  squared,
  sum,
  unbounded,
  union,
} from "../range.js";
import { precise, times } from "../subgraphs/saturation.js";
import { scalingSteps } from "../subgraphs/steps.js";

type Combine = (a: Dim, b: Dim) => Dim | undefined;

/** Follows shape arithmetic on known scalars and vectors, of integers or of multiples of N as floats. */
function withKnown(definition: OpDefinition, combine: Combine, combineFloats = combine): OpDefinition {
  return {
    ...definition,
    infer: (call) => definition.infer(call).map((type) => foldKnown(call, type, combine, combineFloats)),
  };
}

function foldKnown(call: Call, type: ValueType, integers: Combine, floats: Combine): ValueType {
  const float = isFloat(type.dtype);
  if (float && !call.inputs.some((input) => input?.known?.some(isBatch))) return type;
  if (type.shape.length > 1) return type;
  const combine = float ? floats : integers;
  const operands = call.inputs.map((input) => input?.known ?? elementsOfConstant(input));
  const length = Math.max(...operands.map((known) => known?.length ?? 0));
  const known: Dim[] = [];
  for (let i = 0; i < length; i++) {
    const elements = operands.map((operand) => operand?.[operand.length === 1 ? 0 : i]);
    let result = elements[0];
    for (const element of elements.slice(1)) {
      result = result === undefined || element === undefined ? undefined : combine(result, element);
    }
    if (result === undefined) return type;
    known.push(result);
  }
  return operands.every((operand) => operand !== undefined) ? { ...type, known } : type;
}

const subtract = (a: Dim, b: Dim): Dim | undefined => {
  if (isBatch(a) && isBatch(b) && a.perSample === b.perSample) return 0;
  return add(a, isBatch(b) ? { perSample: -b.perSample } : -b);
};

/** Exact, or rounded towards zero where both are plain integers. */
const integerDivide = (a: Dim, b: Dim): Dim | undefined =>
  divide(a, b) ?? (isBatch(a) || isBatch(b) || b === 0 ? undefined : Math.trunc(a / b));

/** Divides as floats, without rounding. */
const floatDivide: Combine = (a, b) => {
  if (isBatch(b)) return isBatch(a) ? a.perSample / b.perSample : undefined;
  if (b === 0) return undefined;
  return isBatch(a) ? { perSample: a.perSample / b } : a / b;
};

/** A value minus its greatest element, as in a stable softmax, is at most 0. */
function difference(a: Range, b: Range, node: Node): Range {
  const found = sum(a, negative(b));
  const greatest = nodeOf(inputOf(node, 1));
  if (greatest?.op !== "ReduceMax" || greatest.inputs[0] !== node.inputs[0]) return found;
  return { ...found, low: found.low, high: Math.min(found.high, 0), zero: true };
}

const shapeOf = (node: { inputs: readonly (Value | null)[] }, index: number) => nth(node.inputs, index).shape;

const addition = withKnown(
  having(
    {},
    binary(
      "Add",
      (x, y) => x + y,
      (node, [dy], build) => [
        build.unbroadcast(present(dy), shapeOf(node, 0)),
        build.unbroadcast(present(dy), shapeOf(node, 1)),
      ],
      undefined,
      () => sums,
      sum,
    ),
  ),
  add,
);

const subtraction = withKnown(
  having(
    {},
    binary(
      "Sub",
      (x, y) => x - y,
      (node, [dy], build, wanted) => [
        build.unbroadcast(present(dy), shapeOf(node, 0)),
        wanted[1] ? build.unbroadcast(build.neg(present(dy)), shapeOf(node, 1)) : null,
      ],
      undefined,
      () => differences,
      (a, b, node) => difference(a, b, node),
    ),
  ),
  subtract,
);

const multiplication = withKnown(
  {
    ...binary(
      "Mul",
      (x, y) => x * y,
      (node, [dy], build, wanted) => {
        const [x, y] = inputsOf(node, 2);
        return [
          wanted[0] ? build.unbroadcast(times(build, present(dy), y), x.shape) : null,
          wanted[1] ? build.unbroadcast(times(build, present(dy), x), y.shape) : null,
        ];
      },
      undefined,
      () => products,
      (a, b, node) => (node.inputs[0] === node.inputs[1] ? squared(a) : product(a, b)),
    ),
    light: true,
    finiteSlope: true,
    linear: scalingSteps,
  },
  multiply,
);

const division = withKnown(
  {
    ...binary(
      "Div",
      (x, y, node) => (isFloat(inputOf(node, 0).dtype) ? x / y : Math.trunc(x / y)),
      (node, [dy], build, wanted) => {
        const [x, y] = inputsOf(node, 2);
        const scaled = build.div(present(dy), y);
        return [
          build.unbroadcast(scaled, x.shape),
          wanted[1] ? build.unbroadcast(build.neg(build.mul(scaled, outputOf(node, 0))), y.shape) : null,
        ];
      },
      undefined,
      (node) => (isFloat(inputOf(node, 0).dtype) ? quotients : undefined),
      quotient,
    ),
    linear: scalingSteps,
  },
  integerDivide,
  floatDivide,
);

/**
 * x^y. At x = 0 the derivative with respect to x is 0 where y = 0, and that with respect to y is 0 where
 * y >= 0, as PyTorch defines them.
 */
const power = having(
  { settings: { 1: perhaps("an exponent") } },
  binary(
    "Pow",
    (x, y) => x ** y,
    (node, [dy], build, wanted) => {
      const [x, y] = inputsOf(node, 2);
      const exponent = build.cast(y, x.dtype);
      const zero = build.scalar(0, x);
      const powerRule = (): Value => {
        const lowered = build.op("Pow", [precise(build, x), build.sub(exponent, build.scalar(1, x))]);
        const slope = build.where(build.equal(exponent, zero), zero, build.mul(exponent, lowered));
        return build.mul(present(dy), slope);
      };
      const exponentRule = (): Value => {
        const result = outputOf(node, 0);
        const flat = build.and(build.equal(x, zero), build.greaterOrEqual(exponent, zero));
        const base = build.where(flat, build.scalar(1, x), x);
        return build.mul(present(dy), build.mask(build.not(flat), build.mul(result, build.log(base))));
      };
      return [
        wanted[0] ? build.unbroadcast(powerRule(), x.shape) : null,
        wanted[1] ? build.unbroadcast(exponentRule(), y.shape) : null,
      ];
    },
    undefined,
    undefined,
    powers,
  ),
);

/** The remainder has the sign of y. It is exact, unlike x - floor(x / y) * y. */
function floorRemainder(x: number, y: number): number {
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

/**
 * Mod: with fmod=1 the remainder has the sign of x, as in C; otherwise it has the sign of y. The derivative with
 * respect to x is 1; with respect to y it is -trunc(x/y) or -floor(x/y).
 */
const remainder: OpDefinition = binary(
  "Mod",
  (x, y, node) => (intAttribute(node, "fmod", 0) === 1 ? x % y : floorRemainder(x, y)),
  (node, [dy], build, wanted) => {
    const [x, y] = inputsOf(node, 2);
    const whole = () => build.op("Round", [build.div(build.sub(x, outputOf(node, 0)), y)]);
    return [
      build.unbroadcast(present(dy), x.shape),
      wanted[1] ? build.unbroadcast(build.neg(build.mul(present(dy), whole())), y.shape) : null,
    ];
  },
  undefined,
  undefined,
  (x, y) => (y.zero || !alwaysFinite(x) ? anything : unbounded),
);

const modulo: OpDefinition = {
  ...remainder,
  // Before opset 28, floats can be divided only with fmod=1.
  lower: (node, build) => {
    const [x, y] = inputsOf(node, 2);
    if (!isFloat(x.dtype) || intAttribute(node, "fmod", 0) === 1) return null;
    const rest = build.op("Mod", [x, y], { fmod: 1 });
    const zero = build.scalar(0, x);
    const signs = build.op("Xor", [build.less(rest, zero), build.less(y, zero)]);
    const moved = build.and(signs, build.not(build.equal(rest, zero)));
    return [build.where(moved, build.add(rest, y), rest)];
  },
};

function variadic(
  op: string,
  fold: (elements: readonly number[]) => number,
  differentiate: DerivativeRule,
  range: (a: Range, b: Range) => Range,
): OpDefinition {
  return {
    op,
    range: (_node, inputs) => (inputs as Range[]).reduce(range),
    infer: (call) => {
      const inputs = call.inputs.map((_, index) => requireInput(call, index));
      return [
        {
          dtype: requireInput(call, 0).dtype,
          shape: broadcastShape(
            call,
            inputs.map((input) => input.shape),
          ),
        },
      ];
    },
    evaluate: (inputs) => {
      const arrays = inputs.map((input) => present(input));
      const dims = broadcastDims(arrays.map((array) => array.dims));
      const operands = arrays.map((array) => broadcastTo(array, dims));
      return [
        array64(
          dims,
          nth(operands, 0).map((_, i) => fold(operands.map((data) => data[i] as number))),
        ),
      ];
    },
    differentiate,
    ...elementwise,
  };
}

const everyInput =
  (scale: (inputs: number) => number): DerivativeRule =>
  (node, [dy], build) => {
    const scaled = build.scale(present(dy), scale(node.inputs.length));
    return node.inputs.map((input) => build.unbroadcast(scaled, present(input).shape));
  };

/** The cotangent of a maximum or minimum, shared equally among the inputs that attain it (as in PyTorch's maximum). */
const extremum: DerivativeRule = (node, [dy], build) => {
  const inputs = node.inputs.map(present);
  const missing = inputs.map((input) => misses(node.op === "Max", input, outputOf(node, 0), build));
  const count = missing
    .map((missed) => build.cast(build.not(missed), present(dy).dtype))
    .reduce((sum, one) => build.add(sum, one));
  const share = build.div(present(dy), count);
  return inputs.map((input, i) => build.unbroadcast(build.cotangentUnless(nth(missing, i), share), input.shape));
};

/**
 * The greater of a number and a dimension that grows with the batch. Exporters take the greater of two lengths that
 * broadcast. The greater of 1 and N is N, because nothing is computed for an empty batch.
 */
const greaterDim: Combine = (a, b) => {
  if (isBatch(a) === isBatch(b)) return factorOf(a) >= factorOf(b) ? a : b;
  const [grows, number] = isBatch(a) ? [a, factorOf(b)] : [b, factorOf(a)];
  return number <= factorOf(grows) ? grows : undefined;
};

const lesserDim: Combine = (a, b) => {
  if (isBatch(a) === isBatch(b)) return factorOf(a) <= factorOf(b) ? a : b;
  const number = isBatch(a) ? factorOf(b) : factorOf(a);
  return number <= 0 ? number : undefined;
};

const total = (elements: readonly number[]) => elements.reduce((sum, x) => sum + x, 0);

export const arithmetic: readonly OpDefinition[] = [
  addition,
  subtraction,
  multiplication,
  division,
  power,
  modulo,
  {
    ...unary(
      "Neg",
      (x) => -x,
      (x, _y, build: Build) => build.scalar(-1, x),
      (_node, [x]) => negative(present(x)),
    ),
    linear: (node) => [{ kind: "scaling", factor: (build) => build.scalar(-1, outputOf(node, 0)) }],
  },
  variadic(
    "Sum",
    total,
    everyInput(() => 1),
    sum,
  ),
  variadic(
    "Mean",
    (elements) => total(elements) / elements.length,
    everyInput((inputs) => 1 / inputs),
    // A mean lies between the least and the greatest of its elements, so the union of their ranges holds it.
    union,
  ),
  withKnown(
    {
      ...variadic(
        "Max",
        (elements) => Math.max(...elements),
        extremum,
        (a, b) => greater(a, b),
      ),
      finiteSlope: true,
      stepSlope: true,
    },
    greaterDim,
  ),
  withKnown(
    {
      ...variadic(
        "Min",
        (elements) => Math.min(...elements),
        extremum,
        (a, b) => negative(greater(negative(a), negative(b))),
      ),
      finiteSlope: true,
      stepSlope: true,
    },
    lesserDim,
  ),
];
