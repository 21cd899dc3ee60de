/** Finds the lines that python/pergrad_ray.py prints for pergrad, among whatever else a job prints. */
import type { ClusterProgress } from "../types.js";
import { fieldsIn } from "./json.js";

/** The last line of each kind, and all remarks. */
export interface JobReport {
  readonly notes?: readonly string[];
  readonly progress?: ClusterProgress;
  readonly error?: { readonly code: string; readonly message: string };
  readonly done?: { readonly parts: number; readonly samples: number };
}

export function reportIn(log: string): JobReport {
  const last = new Map<string, Readonly<Record<string, unknown>>>();
  const notes = new Set<string>();
  for (const [, kind = "", text = ""] of log.matchAll(/^pergrad: (progress|note|error|done) (\{.*\})\r?$/gm)) {
    // If a job was killed, a line may be incomplete.
    const found = fieldsIn(text);
    if (found && kind === "note") notes.add(String(found.text));
    else if (found) last.set(kind, found);
  }
  const [progress, error, done] = ["progress", "error", "done"].map((kind) => last.get(kind));
  return {
    ...(notes.size === 0 ? {} : { notes: [...notes] }),
    ...(progress
      ? { progress: { parts: Number(progress.parts), of: Number(progress.of), samples: Number(progress.samples) } }
      : {}),
    ...(error ? { error: { code: String(error.code), message: String(error.message) } } : {}),
    ...(done ? { done: { parts: Number(done.parts), samples: Number(done.samples) } } : {}),
  };
}

/** The last line that is not empty, for jobs that ended without a line for pergrad. */
export function lastLineOf(log: string): string {
  const lines = log.split("\n").map((line) => line.trim());
  return lines.findLast((line) => line !== "") ?? "";
}
