/** Shows how a method treats each parameter. */
import { checkOptions } from "../arguments.js";
import { bindShape } from "../graph/dim.js";
import type { Model } from "../graph/model.js";
import { table } from "../inspect/table.js";
import { asModel } from "../nn/as-model.js";
import type { Module } from "../nn/module.js";
import { present } from "../present.js";
import { asCheckpoints, asMethod, type ScoreOptions, scoreOptions } from "./scores.js";

/** How one parameter takes part in a method. */
export interface ExplainedAttribution {
  /** Its name. */
  readonly parameter: string;
  /** The parameter's shape. */
  readonly shape: readonly number[];
  /** In a few words: "exact", "Kronecker (expand)", "exact block", "diagonal", "projection of factors", "left out", ... */
  readonly approximation: string;
  /** The same as the end of a sentence that begins with the parameter. */
  readonly how: string;
  /** Parameters in the same block: a layer's bias is in that of its weight. */
  readonly with: readonly string[];
}

/** How each parameter is approximated in a method: `rows` as data, and a table as text. */
export class AttributionExplanation {
  constructor(
    /** The method's name and settings. */
    readonly method: string,
    /** In the order of the parameters. */
    readonly rows: readonly ExplainedAttribution[],
  ) {}

  /** A line for each parameter. */
  toString(): string {
    const lines = this.rows.map(({ parameter, shape, approximation, how, with: others }) => [
      parameter,
      `[${shape.join(", ")}]`,
      approximation,
      others.length === 0 ? how : `${how}; with ${others.join(", ")}`,
    ]);
    return `${this.method}\n\n${table([["parameter", "shape", "approximation", "how"], ...lines], 4)}`;
  }
}

/**
 * Says how a method approximates each parameter. Needs no data.
 * @param options as `attribution.scores` takes them
 * @throws PergradError INVALID_ARGUMENT, and what `perSample` throws.
 */
export async function explain(model: Model | Module, options: ScoreOptions): Promise<AttributionExplanation> {
  checkOptions("attribution.explain(model, options)", options, scoreOptions);
  const method = asMethod(options.method);
  const [checkpoint] = asCheckpoints(asModel(model, "attribution.explain"), "attribution.explain", options);
  const { objective } = present(checkpoint);
  const found = new Map(
    (await method.explain(present(checkpoint))).flatMap((each) => each.parameters.map((name) => [name, each] as const)),
  );
  const rows = [...objective.parameters].map(([parameter, { shape }]) => {
    const { parameters, approximation, how } = present(found.get(parameter));
    const others = parameters.filter((name) => name !== parameter);
    return { parameter, shape: bindShape(shape, 0), approximation, how, with: others };
  });
  const chosen = method.shown?.(present(checkpoint)) ?? {};
  return new AttributionExplanation(titled(method.name, { ...method.settings, ...chosen }), rows);
}

function titled(name: string, settings: Readonly<Record<string, unknown>>): string {
  const given = Object.entries(settings).map(([key, value]) => `${key} ${value}`);
  return given.length === 0 ? name : `${name}: ${given.join(", ")}`;
}
