/** ONNX files by their address: in a browser they are fetched, from wherever the page is allowed to fetch them. */
import type { ModelProto } from "onnx-buf";
import { messageOf, PergradError } from "../../errors.js";
import { parseModel } from "../proto.js";
import { bytesIn } from "./content.js";
import { takeExternalData } from "./external-data.js";

/** The address itself. */
export function pathOf(text: string): string {
  return text;
}

/** Throws FILE_UNREADABLE. */
export async function readModel(address: string): Promise<Uint8Array> {
  return bytesIn(await fetched(address), address);
}

/** Parses a model; files that lie beside it must be given. */
export async function parseFile(bytes: Uint8Array, address: string): Promise<ModelProto> {
  const proto = parseModel(bytes, address);
  await takeExternalData(proto);
  return proto;
}

async function fetched(address: string): Promise<Response> {
  try {
    return await fetch(address);
  } catch (error) {
    const reason = messageOf(error);
    throw new PergradError("FILE_UNREADABLE", `Cannot fetch "${address}": ${reason.replace(/\.$/, "")}.`, {
      cause: error,
    });
  }
}
