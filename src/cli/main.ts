/** The command line: runs one command and turns any error into one sentence and an exit code. */
import { type Command, CommanderError } from "commander";
import { messageOf, PergradError } from "../errors.js";
import { type DebugWord, debugObserver, debugOf } from "../inspect/debug.js";
import type { Spelling } from "../sentence.js";
import { exit } from "./commands/run.js";
import { commands } from "./commands.js";
import { type Io, systemIo } from "./io.js";
import { flagOf, UsageError } from "./usage.js";

/**
 * @param argv the arguments after the script's name
 * @returns the exit code: 0 done, 1 the model or the data is at fault, 2 wrong usage, 3 a check found a difference
 */
export async function main(argv: readonly string[], io: Io = systemIo()): Promise<number> {
  let words: ReadonlySet<DebugWord>;
  try {
    words = debugOf(process.env.PERGRAD_DEBUG);
  } catch (error) {
    io.stderr.write(`pergrad: ${explanation(error)}\n`);
    return exit.usage;
  }
  const observe = debugObserver(words, (text) => io.stderr.write(text));
  let code: number = exit.done;
  const program = commands({ stdout: io.stdout, stderr: io.stderr, ...(observe ? { observe } : {}) }, (ended) => {
    code = ended;
  });
  const names = program.commands.map((command) => command.name());
  try {
    await program.parseAsync(withoutHelpForUnknown(argv, names), { from: "user" });
    return code;
  } catch (error) {
    return report(error, program.commands, argv, { io, words });
  }
}

/** Help for an unknown command means a misspelt name: commander would answer with the general help. */
function withoutHelpForUnknown(argv: readonly string[], names: readonly string[]): string[] {
  const [first, second] = argv.filter((argument) => !argument.startsWith("-"));
  const asked = first === "help" ? second : first;
  return asked === undefined || asked === "help" || names.includes(asked) ? [...argv] : [asked];
}

function report(
  error: unknown,
  known: readonly Command[],
  argv: readonly string[],
  { io, words }: { readonly io: Io; readonly words: ReadonlySet<DebugWord> },
): number {
  // Commander prints help and the version by way of an error.
  if (error instanceof CommanderError && error.exitCode === 0) return exit.done;
  const command = known.find((each) => argv.includes(each.name()));
  const misused = misuse(error, known, command);
  io.stderr.write(`pergrad: ${misused ?? explanation(error, asFlags(command))}\n`);
  if (words.has("stack") && error instanceof Error) io.stderr.write(`${error.stack}\n`);
  return misused === undefined ? exit.fault : exit.usage;
}

/** A usage error as one sentence that ends with where to read on; undefined for other errors. */
function misuse(error: unknown, known: readonly Command[], command: Command | undefined): string | undefined {
  const text = misused(error, known, command);
  if (text === undefined) return undefined;
  const [, sentence, stop] = /^(.*?)([.?]?)$/s.exec(text) ?? [];
  return `${sentence} (see pergrad ${command === undefined ? "" : `${command.name()} `}--help)${stop || "."}`;
}

function misused(error: unknown, known: readonly Command[], command: Command | undefined): string | undefined {
  if (error instanceof UsageError) return error.message;
  if (error instanceof CommanderError) return reworded(error, known, command);
  // Whether a value fits may be known only once the model or the data has been read.
  const given = error instanceof PergradError && error.code === "INVALID_ARGUMENT";
  return given && namesOption(error, command) ? error.spelled(asFlags(command)) : undefined;
}

/** Spells options as flags, if the command has them. */
function asFlags(command: Command | undefined): Spelling {
  const flags = new Set(command?.options.map(({ long }) => long));
  return (option) => {
    const flag = flagOf(written[option.name] ?? option.name);
    if (!flags.has(flag)) return String(option);
    const { value } = option;
    if (value === undefined) return flag;
    if (typeof value !== "object" || value === null) return `${flag} ${value}`;
    return Object.entries(value)
      .map(([name, each]) => `${flag} ${name}=${each ?? "shared"}`)
      .join(" ");
  };
}

/** Options with another name on the command line, such as those whose entries are given one by one there. */
const written: Readonly<Record<string, string>> = {
  sampleAxes: "sampleAxis",
  dimensions: "dim",
  inputs: "input",
  of: "curvature",
};

/** Whether the error's message names an option of the command. */
function namesOption(error: PergradError, command: Command | undefined): boolean {
  const own = new Set(command?.options.map((option) => option.attributeName()));
  const several = Object.entries(written).flatMap(([name, each]) => (own.has(each) ? [name] : []));
  return [...own, ...several].some((name) => error.names(name));
}

function explanation(error: unknown, spelling: Spelling = String): string {
  if (error instanceof PergradError) return error.spelled(spelling);
  const message = messageOf(error);
  if (error instanceof RangeError && /allocation failed|Invalid (typed )?array (buffer )?length/i.test(message)) {
    return `There is not enough memory (${message}); use a smaller --microbatch-size or less data.`;
  }
  const first = message.split("\n", 1)[0]?.replace(/\.$/, "");
  return `Internal error: ${first}; please report it, with the output of the same command under PERGRAD_DEBUG=stack.`;
}

/** Rewords commander's messages as sentences. */
function reworded({ code, message }: CommanderError, known: readonly Command[], command: Command | undefined): string {
  // No command, or help for one that does not exist.
  if (code === "commander.help") {
    const names = known.map((each) => each.name());
    return `Give a command and a model: pergrad COMMAND MODEL.onnx, where COMMAND is one of ${names.join(", ")}.`;
  }
  if (code === "commander.excessArguments") {
    const [first] = command?.registeredArguments ?? [];
    if (!first) return "This command takes only options; leave out the other arguments.";
    if (first.name() !== "model") return `This command takes one argument, <${first.name()}>; leave out the others.`;
    return "Only the model is given without an option; give the data with --data and the result with --out.";
  }
  const text = message
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ")
    .replace(/^missing required argument 'shell'$/, "the shell is missing: give bash, zsh or fish")
    .replace(/^command-argument value '(.*)' is invalid for argument '(.*)'\.\s*/s, 'the $2 cannot be "$1": ')
    .replace(/^missing required argument 'model'$/, "the model is missing: give the path of an .onnx file")
    .replace(/^option '(.*?)' argument '(.*)' is invalid\.\s*/s, 'option $1 cannot be "$2": ')
    .replace(/: Allowed choices are (.*?)\.?$/, ": it must be one of $1")
    .replace(
      /^option '(.*?)' cannot be used with option '(.*?)'$/,
      "option $1 cannot be used with option $2; give one of them",
    )
    .replace(/^option '(.*)' argument missing$/, "option $1 lacks its value")
    .replace(/ \(Did you mean (.*)\?\)$/, "; did you mean $1?");
  return `${text[0]?.toUpperCase()}${text.slice(1)}`;
}
