/** Modules as plain values: named parameters, and a function that traces the forward pass. */
import { kindOf } from "../arguments.js";
import { PergradError } from "../errors.js";
import { type DimSpec, sameShape, showShape } from "../graph/dim.js";
import { present } from "../present.js";
import { random } from "../tensor/random.js";
import { type DType, sizeOf, type Tensor } from "../tensor/tensor.js";
import { invalid } from "../trace/shape.js";
import { Traced } from "../trace/traced.js";
import type { ParameterSpec } from "./initial-values.js";

/**
 * An input of a module other than x: a mask, a seed. With a shape, the module requires it, and
 * a model of the module has it automatically; without a shape, it is optional and must be given.
 */
export interface SideInput {
  /** Its dtype. */
  readonly dtype: DType;
  /** Its shape, with "N" for the samples; undefined where the layer takes any. */
  readonly shape?: readonly DimSpec[];
}

type Named = Readonly<Record<string, Traced>>;

/** A layer, or a network of layers: named parameters, and a function that traces the forward pass. */
export interface Module {
  /** What messages call it: "conv2d". */
  readonly name: string;
  /** Each parameter once, under the name of its first use. */
  readonly parameters: Readonly<Record<string, ParameterSpec>>;
  /** The shape of the input, where the module alone determines it. */
  readonly inputShape?: readonly DimSpec[];
  /** Its inputs other than x, by name; layers that name an input alike share it. */
  readonly inputs?: Readonly<Record<string, SideInput>>;
  /** Traces the forward pass from x, the parameters by name, and the other inputs by name. */
  forward(x: Traced, parameters: Named, inputs?: Named): Traced;
}

/**
 * A module inside a forward pass. Inputs given here replace, for this call, those that the surrounding
 * module was given.
 */
export type Layer = (x: Traced, inputs?: Named) => Traced;

/** What a module may be made of: parameters, and other modules. */
export type ModuleParts = Readonly<Record<string, ParameterSpec | Module>>;

/** The same parts inside a forward pass: traced parameters, and modules as functions. */
export type Bound<P extends ModuleParts> = {
  readonly [K in keyof P]: P[K] extends Module ? Layer : Traced;
};

function isModule(part: ParameterSpec | Module): part is Module {
  return "forward" in part;
}

/** Every use of a parameter in `parts`, in order, by its full name. */
function usesOf(parts: ModuleParts): [name: string, spec: ParameterSpec][] {
  return Object.entries(parts).flatMap(([name, part]): [string, ParameterSpec][] =>
    isModule(part) ? Object.entries(part.parameters).map(([own, spec]) => [`${name}.${own}`, spec]) : [[name, part]],
  );
}

/** The parameters of `parts`, each under the name of its first use. */
export function parametersOf(parts: ModuleParts): Record<string, ParameterSpec> {
  const first = new Map<ParameterSpec, string>();
  for (const [name, spec] of usesOf(parts)) if (!first.has(spec)) first.set(spec, name);
  return Object.fromEntries([...first].map(([spec, name]) => [name, spec]));
}

/** What the modules among `parts` take beside x, each once. Throws INVALID_ARGUMENT where two disagree. */
export function sideInputsOf(parts: ModuleParts): Record<string, SideInput> {
  const found: Record<string, SideInput> = {};
  for (const part of Object.values(parts)) {
    for (const [name, own] of Object.entries((isModule(part) && part.inputs) || {})) {
      const other = found[name];
      const same = other?.shape === undefined || own.shape === undefined || `${other.shape}` === `${own.shape}`;
      if (other && (other.dtype !== own.dtype || !same)) {
        throw invalid(`Two modules take an input "${name}", of different dtypes or shapes; rename one of them.`);
      }
      // What one of them cannot do without is needed.
      found[name] = other?.shape ? other : own;
    }
  }
  return found;
}

/** The property of a module that lists its inputs besides x, if it has any. */
function taking(inputs: Readonly<Record<string, SideInput>>): Pick<Module, "inputs"> {
  return Object.keys(inputs).length > 0 ? { inputs } : {};
}

/** Checks that a module takes the inputs given to it. */
export function checkGiven(module: Module, given: Named): void {
  for (const [name, { dtype }] of Object.entries(given)) {
    const own = module.inputs?.[name];
    if (!own) {
      const taken = Object.keys(module.inputs ?? {}).map((each) => `"${each}"`);
      const known = taken.length > 0 ? `give only ${taken.join(" and ")}` : "leave it out";
      throw invalid(`it takes no input "${name}" beside its first; ${known}.`);
    }
    if (own.dtype !== dtype)
      throw new PergradError(
        "DTYPE_MISMATCH",
        `its input "${name}" is ${own.dtype}, but it was given ${dtype}; cast it.`,
      );
  }
}

/** Finds traced parameters by their specifications, wherever these are used. */
export class Tracing {
  private readonly traced: ReadonlyMap<ParameterSpec, Traced>;

  constructor(
    specs: Readonly<Record<string, ParameterSpec>>,
    parameters: Named,
    /** Inputs that modules called from here take unless given others. */
    private readonly inputs: Named = {},
  ) {
    this.traced = new Map(
      Object.entries(specs).map(([name, spec]) => {
        const value = parameters[name];
        if (!value) throw new PergradError("MISSING_TENSOR", `The parameter "${name}" is not given; give it a tensor.`);
        return [spec, value];
      }),
    );
  }

  /** The traced parameter of a specification that is in `specs`. */
  parameter(spec: ParameterSpec): Traced {
    return present(this.traced.get(spec));
  }

  /** The inputs of a call: those given, and the surrounding ones that the module takes. */
  private inputsFor(module: Module, given: Named): Named {
    checkGiven(module, given);
    const around = Object.entries(this.inputs).filter(([name]) => module.inputs && Object.hasOwn(module.inputs, name));
    return { ...Object.fromEntries(around), ...given };
  }

  /** Calls a module whose parameters are in `specs`; its nodes and errors are named after `path`. */
  call(module: Module, path: string, x: Traced, given: Named = {}): Traced {
    const own = Object.entries(module.parameters).map(([name, spec]) => [name, this.parameter(spec)] as const);
    const scope = x.scope === "" ? path : `${x.scope}.${path}`;
    try {
      const inputs = this.inputsFor(module, given);
      return module.forward(x.within(scope), Object.fromEntries(own), inputs).within(x.scope);
    } catch (error) {
      if (!(error instanceof PergradError)) throw error;
      throw new PergradError(error.code, `layer ${path} (${module.name}): ${error.message}`, { cause: error });
    }
  }

  bind<P extends ModuleParts>(parts: P): Bound<P> {
    const bound = Object.entries(parts).map(([name, part]) => [
      name,
      isModule(part) ? (x: Traced, inputs?: Named) => this.call(part, name, x, inputs) : this.parameter(part),
    ]);
    return Object.fromEntries(bound) as Bound<P>;
  }
}

/**
 * A custom module: a plain function of the input and of its parts. A part that is a module is
 * called as a function, any number of times, always with the same parameters. The inputs that the parts take
 * besides x (a mask, a seed) become inputs of the module, which passes them on; `inputs` are its own, its third argument.
 * @throws PergradError INVALID_ARGUMENT: two parts take an input of one name but different types; when called, `forward` returns no traced tensor.
 */
export function module<P extends ModuleParts = Readonly<Record<never, never>>>(
  forward: (x: Traced, parts: Bound<P>, inputs: Named) => Traced,
  parts: P = {} as P,
  name = "module",
  inputs: Readonly<Record<string, SideInput>> = {},
): Module {
  const parameters = parametersOf(parts);
  const taken = { ...sideInputsOf(parts), ...inputs };
  return {
    name,
    parameters,
    ...taking(taken),
    forward: (x, traced, given = {}) => {
      const result = forward(x, new Tracing(parameters, traced, given).bind(parts), given);
      if (!(result instanceof Traced))
        throw invalid(
          `The forward function of "${name}" did not return a traced tensor; return what is computed from its input.`,
        );
      return result;
    },
  };
}

/**
 * One module after the other. The parameters of layer k are named "k.weight" ...; a module listed twice shares them.
 * @throws PergradError INVALID_ARGUMENT: an argument is not a module.
 */
export function sequential(...modules: readonly Module[]): Module {
  for (const [k, part] of modules.entries()) requireModule(part, `layer ${k}`);
  const parts: ModuleParts = Object.fromEntries(modules.map((part, k) => [String(k), part]));
  const parameters = parametersOf(parts);
  const inputShape = modules[0]?.inputShape;
  return {
    name: "sequential",
    parameters,
    ...(inputShape ? { inputShape } : {}),
    ...taking(sideInputsOf(parts)),
    forward: (x, traced, given = {}) => {
      const tracing = new Tracing(parameters, traced, given);
      return modules.reduce((value, part, k) => tracing.call(part, String(k), value), x);
    },
  };
}

function requireModule(given: Module, which: string): void {
  const module: unknown = given;
  if (typeof module === "object" && module !== null && "forward" in module) return;
  const advice = Array.isArray(module)
    ? "give the layers one by one, nn.sequential(...layers)"
    : "give a module, such as nn.relu()";
  throw invalid(`sequential: ${which} cannot be ${kindOf(module)}; ${advice}.`);
}

/**
 * x + body(x), or shortcut(x) + body(x) if the body changes the shape.
 * @throws PergradError SHAPE_MISMATCH, when called: the body changes the shape and there is no shortcut that fits.
 */
export function residual(
  body: Module,
  {
    shortcut,
  }: {
    /** Applied to x before the sum. Default: the identity. */
    readonly shortcut?: Module;
  } = {},
): Module {
  const parts: ModuleParts = shortcut ? { body, shortcut } : { body };
  const parameters = parametersOf(parts);
  return {
    name: "residual",
    parameters,
    ...(body.inputShape ? { inputShape: body.inputShape } : {}),
    ...taking(sideInputsOf(parts)),
    forward: (x, traced, given = {}) => {
      const tracing = new Tracing(parameters, traced, given);
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

/** Initial values of parameters. A seed always gives the same values. */
export function drawParameters(
  specs: Readonly<Record<string, ParameterSpec>>,
  seed: number,
): Record<string, Tensor<"float32">> {
  const source = random(seed);
  const tensors = Object.entries(specs).map(([name, { shape, initial }]) => {
    const data = initial(source);
    if (data.length !== sizeOf(shape)) {
      throw invalid(
        `The parameter "${name}" [${shape}] starts from ${data.length} elements, not ${sizeOf(shape)}; correct its initial value.`,
      );
    }
    return [name, { dtype: "float32", dims: [...shape], data }] as const;
  });
  return Object.fromEntries(tensors);
}

/**
 * Initial values of a module's parameters, by name. A seed always gives the same values. Default seed: 0.
 * @throws PergradError INVALID_ARGUMENT: a parameter starts from another number of elements than its shape has.
 */
export function initialise(of: Module, seed = 0): Record<string, Tensor<"float32">> {
  return drawParameters(of.parameters, seed);
}
