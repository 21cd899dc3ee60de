// The inputs of a workload's contestants: all get the same weights and samples.
import { decodeSafetensors } from "../../../src/io/safetensors.ts";

export const bytesOf = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());

/** @returns x, target and the list of parameters, each { shape, data }; whole numbers are int32 */
export async function tensorsOf(id) {
  const name = `${id}-peers.safetensors`;
  const { tensors } = decodeSafetensors(await bytesOf(name), name);
  const given = [...tensors].map(([key, { dims, data }]) => [
    key,
    { shape: [...dims], data: data instanceof BigInt64Array ? Int32Array.from(data, Number) : data },
  ]);
  const { x, target, ...parameters } = Object.fromEntries(given);
  const place = (key) => Number(key.split("/")[1]);
  const keys = Object.keys(parameters).sort((a, b) => place(a) - place(b));
  return { x, target, parameters: keys.map((key) => parameters[key]) };
}

/** One row [classes] for each label, 1 at the label. */
export function oneHot({ data }, classes) {
  const rows = new Float32Array(data.length * classes);
  data.forEach((label, n) => {
    rows[n * classes + label] = 1;
  });
  return { shape: [data.length, classes], data: rows };
}
