/** The wants for a page: those that need much code are loaded when a program that asks for them is compiled. */
import { defect } from "../errors.js";
import { remembering } from "../graph/making.js";
import { gradients } from "./gradients.js";
import { losses, mean, norms, outputs, sum } from "./plain.js";
import type { Want } from "./wanted.js";

export type { ClippedSum, ClippedSumOptions } from "./clipping.js";
export type * from "./wanted.js";

/** Makes a want that stands for another one until that is loaded. */
function later<A extends unknown[], R>(name: string, load: () => Promise<(...given: A) => Want<R>>) {
  return (...given: A): Want<R> => {
    const early = (): never => {
      throw defect(`the want ${name} is asked before it is loaded`);
    };
    const loaded = async () => remembering((await load())(...given), name, given);
    return remembering({ name, requirements: {}, emit: early, read: early, later: loaded }, name, given);
  };
}

/** The same maker; its wants can be made again in a worker. */
function known<A extends unknown[], R>(name: string, maker: (...given: A) => Want<R>) {
  return (...given: A): Want<R> => remembering(maker(...given), name, given);
}

const others = () => import("./later.js");

/** What a program can compute from each sample's gradients. */
export const want = {
  gradients: known("gradients", gradients),
  norms: known("norms", norms),
  clippedSum: later("clippedSum", async () => (await import("./clipping.js")).clippedSum),
  sum: known("sum", sum),
  mean: known("mean", mean),
  losses: known("losses", losses),
  outputs: known("outputs", outputs),
  moments: later("moments", async () => (await others()).moments),
  noiseScale: later("noiseScale", async () => (await others()).noiseScale),
  dot: later("dot", async () => (await others()).dot),
  gram: later("gram", async () => (await others()).gram),
  cosine: later("cosine", async () => (await others()).cosine),
  cross: later("cross", async () => (await others()).cross),
  project: later("project", async () => (await others()).project),
  reduce: later("reduce", async () => (await others()).reduce),
  hvp: later("hvp", async () => (await others()).hvp),
  ggnProduct: later("ggnProduct", async () => (await others()).ggnProduct),
  fisherProduct: later("fisherProduct", async () => (await others()).fisherProduct),
  ggnDiagonal: later("ggnDiagonal", async () => (await others()).ggnDiagonal),
  hessianDiagonal: later("hessianDiagonal", async () => (await others()).hessianDiagonal),
  trace: later("trace", async () => (await others()).trace),
  jacobian: later("jacobian", async () => (await others()).jacobian),
  ntk: later("ntk", async () => (await others()).ntk),
  kroneckerFactors: later("kroneckerFactors", async () => (await others()).kroneckerFactors),
} as const;
