import { expect, it } from "vitest";
import { schedules } from "../../src/train/index.js";

const first = (count: number, rate: (step: number) => number) => Array.from({ length: count }, (_, step) => rate(step));

it("cosine falls slowly, then fast, then slowly, and stays at its end", () => {
  const rates = first(7, schedules.cosine({ from: 1, to: 0.2, steps: 4 }));
  const wanted = [1, 0.6 + 0.4 * Math.SQRT1_2, 0.6, 0.6 - 0.4 * Math.SQRT1_2, 0.2, 0.2, 0.2];
  rates.forEach((rate, step) => {
    expect(rate).toBeCloseTo(wanted[step] as number, 12);
  });
});

it("linear changes evenly, stepwise at once", () => {
  expect(first(6, schedules.linear({ from: 1, steps: 4 }))).toEqual([1, 0.75, 0.5, 0.25, 0, 0]);
  expect(first(5, schedules.stepwise({ from: 8, factor: 0.5, every: 2 }))).toEqual([8, 8, 4, 4, 2]);
});

it("warmUp rises to where another schedule begins", () => {
  expect(first(5, schedules.warmUp(3, 4))).toEqual([1, 2, 3, 4, 4]);
  expect(first(5, schedules.warmUp(1, schedules.linear({ from: 2, steps: 2 })))).toEqual([1, 2, 1, 0, 0]);
});

it("schedules refuse what makes no sense", () => {
  expect(() => schedules.cosine({ from: 1, steps: 0 })).toThrow("steps is 0");
  expect(() => schedules.linear({ from: -1, steps: 2 })).toThrow("learningRate is -1");
  expect(() => schedules.stepwise({ from: 1, factor: 2, every: 3 })).toThrow("factor is 2");
  expect(() => schedules.warmUp(1.5, 1)).toThrow("steps is 1.5");
});
