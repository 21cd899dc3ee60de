/**
 * ONNX Runtime's profiler. It identifies nodes by their names after the optimizer has changed the graph. Which of the
 * program's values they compute is read from the optimised graph, which the profiler writes too.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GraphProto } from "onnx-buf";
import { PergradError } from "../../errors.js";
import { bindShape } from "../../graph/dim.js";
import type { Value } from "../../graph/value.js";
import { modelProto } from "../../onnx/messages.js";
import { type EncodableProgram, encodeModel, encodeNamed } from "../../onnx/write/encode.js";
import { zeroTensor } from "../../tensor/tensor.js";
import type { ProfileOptions, Profiler, RuntimeProfile, Tensors, TimedNode } from "../target.js";
import { fallenBack, onGpu } from "./execution.js";
import { loadSession } from "./node.js";

export const profiler: Profiler = {
  profile: (program, feeds, options) => inFolder((folder) => profile(program, feeds, options, folder)),
  optimised: (program) =>
    inFolder(async (folder) => {
      const session = await loadSession(encodeModel(program), {}, { optimizedModelFilePath: optimisedIn(folder) });
      await session.release();
      return readFile(optimisedIn(folder));
    }),
  fallenBack: async (program, execution) => {
    if (!onGpu(execution)) return null;
    return inFolder(async (folder) => {
      const inputs = program.inputs.map(
        ({ name, dtype, shape }) => [name, zeroTensor(dtype, bindShape(shape, 1))] as const,
      );
      const feeds = Object.fromEntries(inputs);
      const { nodes } = await profile(program, feeds, { runs: 1, execution }, folder);
      return fallenBack(nodes, execution);
    });
  },
};

async function inFolder<T>(act: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "pergrad-"));
  try {
    return await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const optimisedIn = (folder: string) => join(folder, "optimised.onnx");

async function profile(
  program: EncodableProgram,
  feeds: Tensors,
  { runs, ...options }: ProfileOptions,
  folder: string,
): Promise<RuntimeProfile> {
  const { model, names } = encodeNamed(program);
  const session = await loadSession(model, options, {
    enableProfiling: true,
    profileFilePrefix: join(folder, "profile"),
    optimizedModelFilePath: optimisedIn(folder),
  });
  try {
    for (let run = 0; run <= runs; run++) await session.run(feeds);
    session.endProfiling();
  } finally {
    await session.release();
  }
  const file = (await readdir(folder)).find((name) => name.startsWith("profile"));
  if (file === undefined) throw new PergradError("RUNTIME", "ONNX Runtime wrote no profile.");
  const events = eventsIn(await readFile(join(folder, file), "utf8"));
  const { graph } = modelProto.decode(await readFile(optimisedIn(folder)));
  // A captured value has the same name inside a body as outside; the outer value, which came first, counts.
  const values = new Map([...names].reverse().map(([value, name]) => [name, value]));
  return summed(events, nodesOf(graph, values), runs);
}

/** A span of time, in microseconds. */
interface Event {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args: Readonly<Record<string, unknown>>;
}

function eventsIn(text: string): Event[] {
  const parsed: unknown = JSON.parse(text);
  return Array.isArray(parsed) ? parsed.filter(isEvent) : [];
}

function isEvent(entry: unknown): entry is Event {
  return typeof entry === "object" && entry !== null && "ts" in entry && "dur" in entry && "name" in entry;
}

type Known = Pick<TimedNode, "outputs" | "toward" | "loop">;

/** The nodes of the optimised graph and of its bodies, by name. */
function nodesOf(
  graph: GraphProto | undefined,
  values: ReadonlyMap<string, Value>,
  loop: TimedNode["loop"] = null,
  found = new Map<string, Known>(),
): Map<string, Known> {
  /** The values that each value leads to, by name. */
  const toward = new Map<string, readonly Value[]>();
  // Nodes come after their inputs, so going from the last to the first, all readers are known.
  for (const { name, input, output, attribute } of [...(graph?.node ?? [])].reverse()) {
    const outputs = output.flatMap((each) => values.get(each) ?? []);
    const next = outputs.length > 0 ? outputs : (output.map((each) => toward.get(each)).find((each) => each) ?? []);
    for (const each of input) toward.set(each, next);
    found.set(name, { outputs, toward: next, loop });
    for (const { g } of attribute) if (g) nodesOf(g, values, loop ?? outputs, found);
  }
  return found;
}

const suffix = "_kernel_time";

/** The mean over all runs except the first. */
function summed(events: readonly Event[], nodes: ReadonlyMap<string, Known>, runs: number): RuntimeProfile {
  const wholes = events.filter(({ cat, name }) => cat === "Session" && name === "model_run").slice(1);
  const start = wholes[0]?.ts ?? 0;
  const counted = events.filter(({ cat, name, ts }) => cat === "Node" && name.endsWith(suffix) && ts >= start);
  const byName = new Map<string, Event[]>();
  for (const event of counted) {
    const name = event.name.slice(0, -suffix.length);
    const own = byName.get(name) ?? [];
    own.push(event);
    byName.set(name, own);
  }
  const timed = [...byName].map(([name, own]): TimedNode => {
    const { outputs = [], toward = [], loop = null } = nodes.get(name) ?? {};
    return {
      op: String(own[0]?.args.op_name ?? name),
      provider: own[0]?.args.provider === undefined ? undefined : String(own[0].args.provider),
      milliseconds: own.reduce((sum, { dur }) => sum + dur, 0) / runs / 1000,
      bytes: Math.max(0, ...own.map(({ args }) => Number(args.output_size ?? 0))),
      outputs,
      toward,
      loop,
    };
  });
  const peaks = counted.flatMap(({ args }) =>
    args.mem_in_use_peak === undefined ? [] : [Number(args.mem_in_use_peak)],
  );
  return {
    nodes: timed,
    milliseconds: wholes.reduce((sum, { dur }) => sum + dur, 0) / runs / 1000,
    peak: peaks.length === 0 ? undefined : Math.max(...peaks),
  };
}
