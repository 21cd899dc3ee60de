/** The peers that the benchmark knows, and where scripts/peers.mjs puts them. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "./process.js";

/** Outside the package: a Python environment and a folder for npm. */
export const defaultFolder = process.env.PERGRAD_PEERS ?? join("..", "pergrad-peers");

/** The peers' scripts are beside the sources; `npm run` starts in the repository's root. */
const script = (name: string) => resolve("bench", "peers", name);

/** By name, how to start each peer that is installed in the folder. */
export function installedPeers(folder: string): ReadonlyMap<string, Command> {
  const windows = process.platform === "win32";
  const python = join(folder, "python", ...(windows ? ["Scripts", "python.exe"] : ["bin", "python"]));
  const modules = join(folder, "node", "node_modules");
  const known: readonly [name: string, sign: string, command: Command][] = [
    ["PyTorch", python, { file: python, args: [script("torch_peer.py")] }],
    ["JAX", python, { file: python, args: [script("jax_peer.py")] }],
    ["jax-js", join(modules, "@jax-js"), node("jax-js-peer.mjs", folder)],
    ["tfjs", join(modules, "@tensorflow"), node("tfjs-peer.mjs", folder)],
  ];
  return new Map(known.flatMap(([name, sign, command]) => (existsSync(sign) ? [[name, command] as const] : [])));
}

/** The peers for second derivatives; none if none is installed in the folder. */
export function curvaturePeers(folder: string): ReadonlyMap<string, Command> {
  const command = installedPeers(folder).get("PyTorch");
  return new Map(command ? [["curvature", { ...command, args: [script("curvature_peer.py")] }]] : []);
}

/** The peers for attribution; none if none is installed in the folder. */
export function attributionPeers(folder: string): ReadonlyMap<string, Command> {
  const command = installedPeers(folder).get("PyTorch");
  return new Map(command ? [["attribution", { ...command, args: [script("attribution_peer.py")] }]] : []);
}

function node(name: string, folder: string): Command {
  return { file: process.execPath, args: [script(name), join(resolve(folder), "node")] };
}
