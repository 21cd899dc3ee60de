/**
 * The four rules of arithmetic, row by row, in the float64 reference: most elements of a model pass through these.
 * Calling a function for each element would cost several times as much, because it boxes numbers.
 */
import type { RowOfPairs } from "./array64.js";

export const sums: RowOfPairs = (out, at, count, x, xAt, xStep, y, yAt, yStep) => {
  for (let i = 0; i < count; i++) out[at + i] = (x[xAt + i * xStep] as number) + (y[yAt + i * yStep] as number);
};

export const differences: RowOfPairs = (out, at, count, x, xAt, xStep, y, yAt, yStep) => {
  for (let i = 0; i < count; i++) out[at + i] = (x[xAt + i * xStep] as number) - (y[yAt + i * yStep] as number);
};

export const products: RowOfPairs = (out, at, count, x, xAt, xStep, y, yAt, yStep) => {
  for (let i = 0; i < count; i++) out[at + i] = (x[xAt + i * xStep] as number) * (y[yAt + i * yStep] as number);
};

export const quotients: RowOfPairs = (out, at, count, x, xAt, xStep, y, yAt, yStep) => {
  for (let i = 0; i < count; i++) out[at + i] = (x[xAt + i * xStep] as number) / (y[yAt + i * yStep] as number);
};
