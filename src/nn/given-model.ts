/** Checks models as callers give them: models, modules, and things mistaken for one. */
import { invalidArgument, isPromise, kindOf } from "../arguments.js";
import type { Model } from "../graph/model.js";
import type { Module } from "./module.js";

/** Whether it is a module, which must be made into a model first. */
export function isModule(given: Model | Module): given is Module {
  const value: unknown = given;
  return typeof value === "object" && value !== null && "forward" in value;
}

/** Throws INVALID_ARGUMENT if it is neither a model nor a module. */
export function requireModel(given: Model, call: string): void {
  const value: unknown = given;
  if (isModel(value)) return;
  throw invalidArgument(`${call} takes a model, not ${kindOf(value)}; ${advice(value)}.`);
}

function isModel(value: unknown): boolean {
  return typeof value === "object" && value !== null && !isPromise(value) && "graph" in value && "parameters" in value;
}

function advice(value: unknown): string {
  if (isPromise(value)) return "await it first, as in await loadModel(path)";
  if (typeof value === "string" || value instanceof URL)
    return `read it first: await loadModel(${JSON.stringify(String(value))})`;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return "read it first: await loadModel(bytes)";
  if (typeof value === "function") return "call it if it makes one, as in nn.relu()";
  if (typeof value === "object" && value !== null && "inputNames" in value)
    return "a session does not show its graph, so read its file: await loadModel(path)";
  return "give what loadModel or nn.model makes, or a module of nn";
}
