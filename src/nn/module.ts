/** Modules as plain values: named parameters, and a function that traces the forward pass. */
import { PergradError } from "../errors.js";
import { type DimSpec, sameShape, showShape } from "../graph/dim.js";
import { sizeOf, type Tensor } from "../tensor.js";
import { invalid } from "../trace/shape.js";
import { Traced } from "../trace/traced.js";
import { type ParameterSpec, random } from "./random.js";

export interface Module {
  /** What messages call it: "conv2d". */
  readonly name: string;
  /** Each parameter once, under the name of its first use. */
  readonly parameters: Readonly<Record<string, ParameterSpec>>;
  /** The shape of the input, where the module alone determines it. */
  readonly inputShape?: readonly DimSpec[];
  forward(x: Traced, parameters: Readonly<Record<string, Traced>>): Traced;
}

/** What a module may be made of: parameters, and other modules. */
export type Parts = Readonly<Record<string, ParameterSpec | Module>>;

/** The same parts inside a forward pass: traced parameters, and modules as functions. */
export type Bound<P extends Parts> = {
  readonly [K in keyof P]: P[K] extends Module ? (x: Traced) => Traced : Traced;
};

function isModule(part: ParameterSpec | Module): part is Module {
  return "forward" in part;
}

/** Every use of a parameter in `parts`, in order, by its full name. */
function usesOf(parts: Parts): [name: string, spec: ParameterSpec][] {
  return Object.entries(parts).flatMap(([name, part]): [string, ParameterSpec][] =>
    isModule(part) ? Object.entries(part.parameters).map(([own, spec]) => [`${name}.${own}`, spec]) : [[name, part]],
  );
}

/** The parameters of `parts`, each under the name of its first use. */
export function parametersOf(parts: Parts): Record<string, ParameterSpec> {
  const first = new Map<ParameterSpec, string>();
  for (const [name, spec] of usesOf(parts)) if (!first.has(spec)) first.set(spec, name);
  return Object.fromEntries([...first].map(([spec, name]) => [name, spec]));
}

/** Finds traced parameters by their specifications, wherever these are used. */
export class Tracing {
  private readonly traced: ReadonlyMap<ParameterSpec, Traced>;

  constructor(specs: Readonly<Record<string, ParameterSpec>>, parameters: Readonly<Record<string, Traced>>) {
    this.traced = new Map(
      Object.entries(specs).map(([name, spec]) => {
        const value = parameters[name];
        if (!value) throw new PergradError("MISSING_TENSOR", `The parameter "${name}" is not given.`);
        return [spec, value];
      }),
    );
  }

  /** The traced parameter of a specification that is in `specs`. */
  parameter(spec: ParameterSpec): Traced {
    return this.traced.get(spec) as Traced;
  }

  /** Calls a module whose parameters are in `specs`; its nodes and errors are named after `path`. */
  call(module: Module, path: string, x: Traced): Traced {
    const own = Object.entries(module.parameters).map(([name, spec]) => [name, this.parameter(spec)] as const);
    const scope = x.scope === "" ? path : `${x.scope}.${path}`;
    try {
      return module.forward(x.within(scope), Object.fromEntries(own)).within(x.scope);
    } catch (error) {
      if (!(error instanceof PergradError)) throw error;
      throw new PergradError(error.code, `layer ${path} (${module.name}): ${error.message}`, { cause: error });
    }
  }

  bind<P extends Parts>(parts: P): Bound<P> {
    const bound = Object.entries(parts).map(([name, part]) => [
      name,
      isModule(part) ? (x: Traced) => this.call(part, name, x) : this.parameter(part),
    ]);
    return Object.fromEntries(bound) as Bound<P>;
  }
}

/**
 * A module of one's own: a plain function of the input and of its parts. A part that is a module is
 * called as a function, as often as wished: each call uses the same parameters.
 */
export function module<P extends Parts = Readonly<Record<never, never>>>(
  forward: (x: Traced, parts: Bound<P>) => Traced,
  parts: P = {} as P,
  name = "module",
): Module {
  const parameters = parametersOf(parts);
  return {
    name,
    parameters,
    forward: (x, traced) => {
      const result = forward(x, new Tracing(parameters, traced).bind(parts));
      if (!(result instanceof Traced))
        throw invalid(`The forward function of "${name}" did not return a traced tensor.`);
      return result;
    },
  };
}

/** One module after the other. The parameters of layer k are named "k.weight" ...; a module listed twice shares them. */
export function sequential(...modules: readonly Module[]): Module {
  const parts: Parts = Object.fromEntries(modules.map((part, k) => [String(k), part]));
  const parameters = parametersOf(parts);
  const inputShape = modules[0]?.inputShape;
  return {
    name: "sequential",
    parameters,
    ...(inputShape ? { inputShape } : {}),
    forward: (x, traced) => {
      const tracing = new Tracing(parameters, traced);
      return modules.reduce((value, part, k) => tracing.call(part, String(k), value), x);
    },
  };
}

/** x + body(x), or shortcut(x) + body(x) where the body changes the shape. */
export function residual(body: Module, { shortcut }: { readonly shortcut?: Module } = {}): Module {
  const parts: Parts = shortcut ? { body, shortcut } : { body };
  const parameters = parametersOf(parts);
  return {
    name: "residual",
    parameters,
    ...(body.inputShape ? { inputShape: body.inputShape } : {}),
    forward: (x, traced) => {
      const tracing = new Tracing(parameters, traced);
      const result = tracing.call(body, "body", x);
      const beside = shortcut ? tracing.call(shortcut, "shortcut", x) : x;
      if (!sameShape(result.value.shape, beside.value.shape)) {
        const [from, to] = [beside, result].map(({ value }) => showShape(value.shape));
        throw new PergradError(
          "SHAPE_MISMATCH",
          `the body gives ${to}, which cannot be added to ${from}; add a shortcut.`,
        );
      }
      return result.add(beside);
    },
  };
}

/** Initial values of parameters. The same seed gives the same values. */
export function drawParameters(
  specs: Readonly<Record<string, ParameterSpec>>,
  seed: number,
): Record<string, Tensor<"float32">> {
  const source = random(seed);
  const tensors = Object.entries(specs).map(([name, { shape, initial }]) => {
    const data = initial(source);
    if (data.length !== sizeOf(shape)) {
      throw invalid(`The parameter "${name}" [${shape}] starts from ${data.length} elements, not ${sizeOf(shape)}.`);
    }
    return [name, { dtype: "float32", dims: [...shape], data }] as const;
  });
  return Object.fromEntries(tensors);
}

/** Initial values of a module's parameters. The same seed gives the same values. */
export function initialise(of: Module, seed = 0): Record<string, Tensor<"float32">> {
  return drawParameters(of.parameters, seed);
}
