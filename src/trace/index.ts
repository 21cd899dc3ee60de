export type { Nested } from "./constant.js";
export { concat, constant, expand, input, parameter, stack, where } from "./functions.js";
export { type Axes, type Operand, type ReduceOptions, Traced } from "./traced.js";
