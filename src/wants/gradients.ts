/** The gradients themselves. */
import type { Tensor } from "../tensor/tensor.js";
import { type ByParameter, each, under, type Want } from "./wanted.js";

/**
 * Each sample's own gradients: by parameter, `[N, ...shape]`. With `storage: "float16"` they take half the memory: they
 * are computed in float32 and then rounded to 11 significant bits; above 65504 they become infinite, and below 6e-5
 * they lose bits. `toFloat32` converts them back.
 */
export function gradients(options?: { readonly storage?: "float32" }): Want<ByParameter>;
export function gradients(options: { readonly storage: "float16" }): Want<Readonly<Record<string, Tensor<"float16">>>>;
export function gradients({
  storage = "float32",
}: {
  readonly storage?: "float32" | "float16";
} = {}): Want<Readonly<Record<string, Tensor<"float32" | "float16">>>> {
  return {
    name: "gradients",
    settings: { storage },
    requirements: { gradients: true },
    ...(storage === "float16" ? { storage } : {}),
    emit: ({ plan }) => each(plan.parameters, (parameter) => plan.gradient(parameter)),
    read: (returned) => (storage === "float16" ? (returned as Record<string, Tensor<"float16">>) : under(returned, "")),
  };
}
