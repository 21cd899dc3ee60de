/** The forms of operators, as `operator-forms.ts` writes them. */

export interface Input {
  readonly type: string;
  readonly optional: boolean;
  readonly variadic: boolean;
}

export interface Form {
  readonly inputs: readonly Input[];
  readonly outputs: number;
  /** The dtypes that a letter stands for. */
  readonly types: ReadonlyMap<string, ReadonlySet<string>>;
  readonly attributes: ReadonlyMap<string, string>;
}

const floats = ["float32", "float64"];
const unsigned = ["uint64", "uint32", "uint16", "uint8"];
const signed = ["int64", "int32", "int16", "int8"];
const groups: Readonly<Record<string, readonly string[]>> = {
  float: floats,
  integer: [...signed, ...unsigned],
  unsigned,
  signed: [...floats, ...signed],
  real: [...floats, ...signed, ...unsigned],
  any: [...floats, ...signed, ...unsigned, "bool"],
  index: ["int32", "int64"],
  wide: [...floats, "int32", "int64", "uint32", "uint64"],
};

/** The forms by the operators' names. */
export function readForms(text: string): ReadonlyMap<string, Form> {
  return new Map(
    text
      .trim()
      .split("\n")
      .map((line) => {
        const [, op = "", inputs = "", outputs = "", types = "", attributes = ""] =
          /^(\w+)\((.*?)\) (\S+)(?: where (.*?))?(?: with (.*))?$/.exec(line) ?? [];
        return [op, readForm(inputs, outputs, types, attributes)];
      }),
  );
}

function words(text: string, separator: string): string[] {
  return text === "" ? [] : text.split(separator);
}

function readForm(inputs: string, outputs: string, types: string, attributes: string): Form {
  const pairs = (text: string, between: string) =>
    words(text, " ").map((word): [string, string] => {
      const [left = "", right = ""] = word.split(between);
      return [left, right];
    });
  return {
    inputs: words(inputs, ", ").map((input) => ({
      type: input.replace(/[?*]$/, ""),
      optional: input.endsWith("?"),
      variadic: input.endsWith("*"),
    })),
    outputs: outputs === "*" ? Number.POSITIVE_INFINITY : Number(outputs),
    types: new Map(
      pairs(types, "=").map(([letter, group]) => [letter, new Set(groups[group] ?? group.split("|"))] as const),
    ),
    attributes: new Map(pairs(attributes, ":")),
  };
}
