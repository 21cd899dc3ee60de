/** Time and bytes by node, summed by operator and by part of the program. */

import { type NameOf, nodeOf, showCall, showType, type Value } from "../graph/value.js";
import type { RuntimeProfile, TimedNode } from "../target/target.js";
import { table } from "./table.js";

/** A node as the runtime ran it. */
export interface ProfiledNode {
  /** The operator that the runtime ran, which may fuse several of the graph's ("FusedGemm"). */
  readonly op: string;
  /** The part it belongs to: "forward", "loss", "backward", or the names of the wants that it is computed for. */
  readonly part: string;
  /** The mean time per run. */
  readonly milliseconds: number;
  /** Bytes of its outputs. */
  readonly bytes: number;
  /** What it computes: dtypes and shapes, and the last of the operators that it was made from. */
  readonly computes: string;
  /** Whether it is in the body of a loop, whose own time includes it: sums leave it out. */
  readonly inside: boolean;
}

/** A sum over nodes. */
export interface ProfiledSum {
  /** What the nodes share: an operator, or a part of the program. */
  readonly name: string;
  /** The number of nodes. */
  readonly nodes: number;
  /** The mean of their total time in a run. */
  readonly milliseconds: number;
  /** Bytes of their outputs. */
  readonly bytes: number;
}

/** The number of nodes that are printed; the data has all of them. */
const mostPrinted = 40;

/** Where a program's time and memory go, for one batch. */
export class Profile {
  /** The slowest first. */
  readonly nodes: readonly ProfiledNode[];
  /** The mean time of a run in the runtime, including overhead. */
  readonly milliseconds: number;
  /** The most bytes in use at once; undefined if the runtime does not report it. */
  readonly peak: number | undefined;

  /**
   * @param samples the number of samples in the batch
   * @param runs the number of runs that times are averaged over
   * @param known what is known about the graph that ran: the names of its values, and the part of the node that
   *   computes some
   */
  constructor(
    { nodes, milliseconds, peak }: RuntimeProfile,
    readonly samples: number,
    readonly runs: number,
    known: {
      readonly nameOf: NameOf;
      partOf(values: readonly Value[]): string;
    },
  ) {
    this.milliseconds = milliseconds;
    this.peak = peak;
    this.nodes = nodes
      .map((node) => ({
        op: node.op,
        part: known.partOf(node.loop ?? node.toward),
        milliseconds: node.milliseconds,
        bytes: node.bytes,
        computes: computesOf(node, known.nameOf),
        inside: node.loop !== null,
      }))
      .sort((a, b) => b.milliseconds - a.milliseconds);
  }

  /** By operator, the slowest first. */
  get byOp(): readonly ProfiledSum[] {
    return this.#sums(({ op }) => op);
  }

  /** By part of the program, the slowest first. */
  get byPart(): readonly ProfiledSum[] {
    return this.#sums(({ part }) => part);
  }

  #sums(keyOf: (node: ProfiledNode) => string): ProfiledSum[] {
    const sums = new Map<string, ProfiledSum>();
    for (const node of this.nodes) {
      if (node.inside) continue;
      const name = keyOf(node);
      const { nodes, milliseconds, bytes } = sums.get(name) ?? { nodes: 0, milliseconds: 0, bytes: 0 };
      const more = { nodes: nodes + 1, milliseconds: milliseconds + node.milliseconds, bytes: bytes + node.bytes };
      sums.set(name, { name, ...more });
    }
    return [...sums.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  }

  /** The nodes with the largest outputs, and the peak, as text. */
  byBytes(): string {
    const shown = [...this.nodes].sort((a, b) => b.bytes - a.bytes).slice(0, mostPrinted);
    const rows = shown.map(({ op, part, bytes, computes }) => [op, part, megabytes(bytes), shortened(computes)]);
    const peak = this.peak === undefined ? "" : `\nAt most ${megabytes(this.peak)} MB were in use at once.\n`;
    return `${table([["node", "belongs to", "MB", "computes"], ...rows], 2, 3)}${peak}`;
  }

  /** Time by part and by operator, and the slowest nodes, as text. */
  toString(): string {
    const whole = this.#total();
    const share = (milliseconds: number) => `${((100 * milliseconds) / Math.max(whole, Number.MIN_VALUE)).toFixed(1)}`;
    const sums = (heading: string, all: readonly ProfiledSum[]) =>
      table(
        [
          [heading, "nodes", "ms", "%", "MB"],
          ...all.map(({ name, nodes, milliseconds, bytes }) => [
            name,
            String(nodes),
            milliseconds.toFixed(3),
            share(milliseconds),
            megabytes(bytes),
          ]),
        ],
        1,
      );
    const shown = this.nodes.slice(0, mostPrinted);
    const rows = shown.map(({ op, part, milliseconds, bytes, computes, inside }) => [
      inside ? `  ${op}` : op,
      part,
      milliseconds.toFixed(3),
      share(milliseconds),
      megabytes(bytes),
      shortened(computes),
    ]);
    const left = this.nodes.length - shown.length;
    return [
      table([["node", "belongs to", "ms", "%", "MB", "computes"], ...rows], 2, 5),
      ...(left > 0 ? [`... and ${left} more nodes, each faster than these.\n`] : []),
      ...(this.nodes.some(({ inside }) => inside) ? ["Nodes in loops are indented; sums count the loop.\n"] : []),
      "\n",
      sums("operator", this.byOp),
      "\n",
      sums("belongs to", this.byPart),
      "\n",
      this.#summary(whole),
    ].join("");
  }

  #total(): number {
    return this.nodes.reduce((sum, { milliseconds, inside }) => sum + (inside ? 0 : milliseconds), 0);
  }

  #summary(whole: number): string {
    const peak = this.peak === undefined ? "" : ` At most ${megabytes(this.peak)} MB were in use at once.`;
    const of = `${this.samples} ${this.samples === 1 ? "sample" : "samples"}, mean of ${this.runs} runs`;
    return `${of}: ${this.milliseconds.toFixed(3)} ms a run, ${whole.toFixed(3)} ms of it in nodes.${peak}\n`;
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(3);
}

/** The most characters that a line uses for what a node computes; the data has all. */
const longest = 120;

function shortened(text: string): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 3)}...`;
}

function computesOf({ outputs, toward }: TimedNode, nameOf: NameOf): string {
  if (outputs.length === 0) return toward[0] ? `towards ${nameOf(toward[0]) ?? toward[0].name}` : "";
  const node = outputs[0] && nodeOf(outputs[0]);
  const typed = outputs.map((value) => `${nameOf(value) ?? value.name}: ${showType(value)}`);
  return node ? `${typed.join(", ")} = ${showCall(node, nameOf)}` : typed.join(", ");
}
