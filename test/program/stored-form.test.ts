/** What a file says of its program may be anything: it is refused with a sentence, or harmless. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { beforeAll, expect, it } from "vitest";
import { losses, nn, openProgram, PergradError, perSample, want } from "../../src/index.js";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
/** Names of fields, and numbers of elements. */
type Place = readonly string[];

const loss = losses.crossEntropy();
const wants = () => ({ norms: want.norms(), clipped: want.clippedSum({ maxNorm: 1 }) });
const data = { x: [0.5, 1, 1.5, -0.5, 1, 2, -1, 1, 0.25], target: [0, 1, 1] };

let file: Uint8Array;
let form: Json;
beforeAll(async () => {
  const program = await perSample(nn.model(nn.linear(3, 2), { seed: 1 }), { loss, want: wants() });
  file = program.encode();
  const { metadataProps } = fromBinary(ModelProtoSchema, file);
  form = JSON.parse(metadataProps.find(({ key }) => key === "pergrad.program")?.value ?? "");
  await program.release();
});

function saying(text: string): Uint8Array {
  const proto = fromBinary(ModelProtoSchema, file);
  for (const entry of proto.metadataProps) if (entry.key === "pergrad.program") entry.value = text;
  return toBinary(ModelProtoSchema, proto);
}

/** Places in lists and records; of lists the first two. */
function placesIn(value: Json, at: Place = []): Place[] {
  if (typeof value !== "object" || value === null) return [at];
  const own = Array.isArray(value) ? Object.entries(value).slice(0, 2) : Object.entries(value);
  return [at, ...own.flatMap(([key, each]) => placesIn(each, [...at, key]))];
}

/** @param to undefined: left out */
function changed(value: Json, [key, ...rest]: Place, to: Json | undefined): Json | undefined {
  if (key === undefined) return to;
  if (typeof value !== "object" || value === null) throw new Error(`There is no "${key}" in ${value}.`);
  const entries = Object.entries(value).flatMap(([name, each]): [string, Json][] => {
    const own = name === key ? changed(each, rest, to) : each;
    return own === undefined ? [] : [[name, own]];
  });
  return Array.isArray(value) ? entries.map(([, each]) => each) : Object.fromEntries(entries);
}

async function used(text: string): Promise<unknown> {
  try {
    const program = await openProgram(saying(text), { want: wants(), loss });
    await program.run(data, { microbatchSize: 2 });
    await program.release();
    return undefined;
  } catch (error) {
    return error;
  }
}

it("runs as it is", async () => {
  expect(await used(JSON.stringify(form))).toBeUndefined();
});

const odd: readonly (Json | undefined)[] = [undefined, null, [null], -1];
it.each(odd.map((each) => [JSON.stringify(each) ?? "nothing", each] as const))(
  "with %s in any place it runs, or what it throws is typed",
  async (_, each) => {
    const untyped: string[] = [];
    for (const place of placesIn(form)) {
      const error = await used(JSON.stringify(changed(form, place, each)) ?? "");
      if (error !== undefined && !(error instanceof PergradError)) untyped.push(`${place.join("/")}: ${String(error)}`);
    }
    expect(untyped).toEqual([]);
  },
);

it("says what is damaged, and what the file gives instead", async () => {
  const saidOf = async (place: Place, to: Json) => used(JSON.stringify(changed(form, place, to)));
  expect(await saidOf(["inputs", "0", "shape"], [null])).toMatchObject({
    code: "INVALID_MODEL",
    message: expect.stringContaining('"inputs" is no list of inputs'),
  });
  expect(await saidOf(["inputs", "0", "sampleAxis"], 2)).toMatchObject({ code: "INVALID_MODEL" });
  expect(await saidOf(["results", "0", "joining", "kind"], "toString")).toMatchObject({ code: "INVALID_MODEL" });
  expect(await saidOf(["watch", "name"], "none")).toMatchObject({
    message: expect.stringContaining('no result "none"'),
  });
  expect(await saidOf(["results", "0", "shape", "0"], "N*2")).toMatchObject({
    code: "INVALID_MODEL",
    message: expect.stringMatching(/gives \[2\] for ".*", but says that it gives \[4\]/),
  });
});
