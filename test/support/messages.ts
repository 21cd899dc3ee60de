/** Reads the messages of errors out of the sources, and says what is wrong with them. */
import { type Ast, everyNode, isAst, parse } from "./syntax.js";

/** How a message is written: as a whole, as the predicate of a node, or as a clause before the builder's advice. */
type Form = "whole" | "predicate" | "clause";

export interface Message {
  readonly file: string;
  readonly line: number;
  /** Undefined where it is another error's. */
  readonly code: string | undefined;
  readonly form: Form;
  /** The text, with `⟨source⟩` for each interpolation. */
  readonly text: string;
}

function nodeAt(node: Ast | undefined, key: string): Ast | undefined {
  const value = node?.[key];
  return isAst(value) ? value : undefined;
}

function nodesAt(node: Ast, key: string): Ast[] {
  const value = node[key];
  return Array.isArray(value) ? value.filter(isAst) : [];
}

function nameOf(node: Ast | undefined): string | undefined {
  return node?.type === "Identifier" ? String(node.name) : undefined;
}

/** What a call that makes an error says: its code, its form, and the place of its text and of its own advice. */
interface Builder {
  readonly code: string;
  readonly form: Form;
  readonly text: number;
  readonly advice?: number;
}

const predicateOf = (code: string): Builder => ({ code, form: "predicate", text: 1, advice: 2 });

/** The functions that make errors. Where one name is used for two, the number of arguments tells them apart. */
const builders: Readonly<Record<string, (args: number) => Builder | undefined>> = {
  unsupported: () => predicateOf("UNSUPPORTED_OP"),
  shapeMismatch: () => predicateOf("SHAPE_MISMATCH"),
  unknownShape: () => predicateOf("UNKNOWN_SHAPE"),
  interaction: () => predicateOf("SAMPLES_INTERACT"),
  mismatch: () => predicateOf("DTYPE_MISMATCH"),
  apartFrom: () => ({ code: "SAMPLES_INTERACT", form: "predicate", text: 3 }),
  invalidModel: () => ({ code: "INVALID_MODEL", form: "clause", text: 0, advice: 1 }),
  invalidArgument: () => ({ code: "INVALID_ARGUMENT", form: "whole", text: 0 }),
  invalid: (args) => (args === 1 ? { code: "INVALID_ARGUMENT", form: "whole", text: 0 } : predicateOf("INVALID_MODEL")),
};

/** What one file says. */
export function messagesOf(source: string, file: string): Message[] {
  const nodes = everyNode(parse(source, file));
  const constants = nodes.filter(({ type }) => type === "VariableDeclarator");

  const textsOf = (node: Ast | undefined): string[] => {
    if (!node) return [];
    if (node.type === "Literal") return [String(node.value)];
    if (node.type === "ParenthesizedExpression") return textsOf(nodeAt(node, "expression"));
    if (node.type === "ConditionalExpression")
      return [...textsOf(nodeAt(node, "consequent")), ...textsOf(nodeAt(node, "alternate"))];
    if (node.type === "BinaryExpression" && node.operator === "+") {
      const right = textsOf(nodeAt(node, "right"));
      return textsOf(nodeAt(node, "left")).flatMap((before) => right.map((after) => before + after));
    }
    if (node.type === "TemplateLiteral") return templates(node);
    const words = nodeAt(node, "quasi");
    if (words && nameOf(nodeAt(node, "tag")) === "sentence") return templates(words);
    const name = nameOf(node);
    const declared = constants.filter((each) => each.start < node.start && nameOf(nodeAt(each, "id")) === name).at(-1);
    const meant = name === undefined ? undefined : nodeAt(declared, "init");
    if (
      meant &&
      ["Literal", "TemplateLiteral", "TaggedTemplateExpression", "ConditionalExpression"].includes(meant.type)
    )
      return textsOf(meant);
    return [`⟨${source.slice(node.start, node.end).replace(/\s+/g, " ")}⟩`];
  };
  const templates = (node: Ast): string[] => {
    const quasis = nodesAt(node, "quasis").map(({ value }) =>
      typeof value === "object" && value !== null && "cooked" in value ? String(value.cooked) : "",
    );
    const inner = nodesAt(node, "expressions").map((each) => source.slice(each.start, each.end).replace(/\s+/g, " "));
    return [quasis.map((text, k) => (k === 0 ? text : `⟨${inner[k - 1]}⟩${text}`)).join("")];
  };

  return nodes.flatMap((node): Message[] => {
    const args = nodesAt(node, "arguments");
    const called = nameOf(nodeAt(node, "callee"));
    const line = source.slice(0, node.start).split("\n").length;
    if (node.type === "NewExpression" && called === "PergradError") {
      const code = args[0]?.type === "Literal" ? String(args[0].value) : undefined;
      return textsOf(args[1]).map((text) => ({ file, line, code, form: "whole", text }));
    }
    // Wrong usage of the command line says what to do, as a wrong argument does.
    if (node.type === "NewExpression" && called === "UsageError")
      return textsOf(args[0]).map((text) => ({ file, line, code: "INVALID_ARGUMENT", form: "whole", text }));
    const builder =
      node.type === "CallExpression" && called !== undefined ? builders[called]?.(args.length) : undefined;
    if (!builder) return [];
    const advice = builder.advice === undefined ? [] : textsOf(args[builder.advice]).map((text) => `; ${text}`);
    const { code, form } = builder;
    return textsOf(args[builder.text]).flatMap((text) =>
      (advice.length > 0 ? advice : [""]).map((more) => ({ file, line, code, form, text: text + more })),
    );
  });
}

/** A predicate begins with one of these; a new one is added here when a message needs it. */
const verbs = new Set(
  (
    "adds asks attends averages becomes can cannot casts collects combines compares computes convolves copies counts crops cuts depends " +
    "differ differs do does draws drops expects flattens gives hands has have holds indexes interpolates is are joins keeps lacks " +
    "lays leaves lies looks makes mixes moves multiplies must names needs normalises numbers orders packs pads pairs picks pools puts " +
    "reaches reads reduces repeats resizes reverses runs samples scales scans scatters slides sorts splits squares steps stops " +
    "sums takes transforms turns works weighs writes"
  ).split(" "),
);

/** Interpolated verbs, whose values are in the same file. */
const verbal = /^⟨(verb|does)⟩/;

/** What a sentence may begin with besides a capital, a quotation or a name put in: pergrad itself, and names in code. */
const names =
  /^(pergrad|grad|compile|count|diagnose|dims|execution|gamma|nesterov|checkpoint|out|solve|target|tensor|trak|want)\b|^--[a-z]|^[a-z]+[A-Z]\w* |^[a-z]\w*[.(]\S|^[A-Za-z_]\w*: |^layer ⟨path⟩ /;

/** Codes whose messages say what to do. */
const advising = new Set([
  "UNSUPPORTED_OP",
  "SAMPLES_INTERACT",
  "INVALID_ARGUMENT",
  "UNKNOWN_SHAPE",
  "BATCH_MISMATCH",
  "MISSING_TENSOR",
]);

const advice =
  /; |\b(must|needs?|[Gg]ive|use|export|say|leave|rename|choose)\b|\b(is|are|has|have) (a|an|one|from) .*, not /;

/** What is wrong with a message. */
export function faultsOf({ code, form, text, file }: Message): string[] {
  const faults: string[] = [];
  const plain = text.replace(/⟨[^⟩]*⟩/g, "X");
  const passedOn = /^⟨[^⟩]*⟩$/.test(text);
  const inLayer = file.includes("src/nn/") && /^(it|its|the) /.test(text);
  if (passedOn) return faults;
  if (form === "predicate") {
    const [first = ""] = text.split(/[ ,]/);
    if (!verbs.has(first) && !verbal.test(text)) faults.push(`begins with "${first}", which is no verb`);
    if (/⟨describe/.test(text)) faults.push("names its node, which the builder names");
  } else {
    if (!/^["A-Z⟨]/.test(text) && !names.test(text) && !inLayer) faults.push("has no subject at its beginning");
    const subjects = text.match(/⟨describe\w*\([^⟩]*⟩/g) ?? [];
    if (new Set(subjects).size < subjects.length) faults.push("names its subject twice");
  }
  if (form === "whole" && !/[^.]\.$|⟩$/.test(text)) faults.push("does not end with a full stop");
  if (form !== "whole" && /\.$/.test(plain)) faults.push("ends with a full stop, which the builder adds");
  if (/[a-z)\]"X][.!?] +["A-Z]/.test(plain)) faults.push("is more than one sentence");
  if (/\b(undefined|NaN|Infinity|null)\b(?! or infinity)|\[object/.test(plain.replaceAll(/\{[^}]*\}/g, "")))
    faults.push("shows a value of JavaScript");
  if (/⟨(?![^⟩]*\?\?)[^⟩(]*(\?\.|\.at\()[^⟩]*⟩/.test(text)) faults.push("may show undefined");
  if (/\b(there where|of which)\b/.test(plain)) faults.push("is not plain English");
  const ends = /⟨(why|meant\w*\([^⟩]*\))⟩$/.test(text);
  if (form === "whole" && code && advising.has(code) && !ends && !advice.test(text))
    faults.push("does not say what to do");
  return faults;
}
