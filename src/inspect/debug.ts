/** Parses PERGRAD_DEBUG, and makes the observer that prints what it asks for. */
import { PergradError } from "../errors.js";
import { bytesOfValue } from "../graph/bytes.js";
import { type Graph, nodeOf } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import type { Observer, Stage } from "./observe.js";
import { printGraph } from "./print-graph.js";
import { RewriteLog } from "./rewrite-log.js";
import { table } from "./table.js";

/**
 * - `plan`: how each parameter's results are computed
 * - `rewrite`: which rewriting rule fired where
 * - `graph`: the graph of each stage
 * - `time`: how long each stage of the compile took, and each node of the first batch
 * - `memory`: bytes by node, from the shapes and of the first batch, and the peak
 * - `stack`: the stack of an error that ends a command
 */
export const debugWords = ["plan", "rewrite", "graph", "time", "memory", "stack"] as const;

export type DebugWord = (typeof debugWords)[number];

/**
 * Parses words separated by commas; none if there is no text.
 * @throws PergradError INVALID_ARGUMENT for an unknown word.
 */
export function debugOf(text = ""): ReadonlySet<DebugWord> {
  const words = text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
  const known: readonly string[] = debugWords;
  const unknown = words.find((word) => !known.includes(word));
  if (unknown !== undefined) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      `PERGRAD_DEBUG cannot be "${unknown}"; it must be a list, separated by commas, of ${debugWords.join(", ")}.`,
    );
  }
  return new Set(debugWords.filter((word) => words.includes(word)));
}

/** An observer that prints what is asked for; undefined if it asks for nothing that a compile or a run reports. */
export function debugObserver(words: ReadonlySet<DebugWord>, write: (text: string) => void): Observer | undefined {
  const has = (word: DebugWord) => words.has(word);
  if (!(["plan", "rewrite", "graph", "time", "memory"] as const).some(has)) return undefined;
  const block = (heading: string, text: string) => write(`[pergrad] ${heading}\n${text.replace(/\n*$/, "\n")}\n`);
  let log = new RewriteLog();
  const onStage = ({ name, graph, sampleAxes, milliseconds }: Stage) => {
    if (has("time")) write(`[pergrad] time: ${name} ${milliseconds.toFixed(2)} ms\n`);
    if (name === "planned") log = new RewriteLog();
    if (has("rewrite") && name === "lowered") block("rewrites", `${log}`);
    if (has("graph") && name !== "loaded") block(`graph: ${name}`, printGraph(graph, { sampleAxes }));
    if (has("memory") && name === "scheduled") block("memory by shape", largest(graph));
  };
  return {
    onStage,
    ...(has("rewrite") ? { onRewrite: (step) => log.seen(step) } : {}),
    ...(has("plan") ? { onPlan: (explanation) => block("plan", `${explanation}`) } : {}),
    ...(has("time") || has("memory")
      ? {
          onProfile: (profile) => {
            if (has("time")) block("time by node", `${profile}`);
            if (has("memory")) block("memory by node", profile.byBytes());
          },
        }
      : {}),
  };
}

/** The number of values that are printed. */
const mostPrinted = 20;

/** The largest values that nodes make, from the shapes. */
function largest({ outputs }: Graph): string {
  const made = nodesBefore(outputs.map(({ value }) => value)).flatMap((node) => node.outputs);
  const sized = made.map((value) => ({ value, bytes: bytesOfValue(value) }));
  const size = ({ bytes: { fixed, perSample } }: (typeof sized)[number]) => fixed + 64 * perSample;
  const shown = sized.sort((a, b) => size(b) - size(a)).slice(0, mostPrinted);
  const rows = shown.map(({ value, bytes: { fixed, perSample } }) => [
    `${value.name || nodeOf(value)?.op}`,
    String(fixed),
    String(perSample),
    String(value),
  ]);
  return table([["value", "bytes", "a sample", "computes"], ...rows], 1, 3);
}
