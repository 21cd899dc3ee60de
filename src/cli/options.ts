/** Kinds of options that commander lacks. */
import { type Command, Option } from "commander";
import { UsageError } from "./usage.js";

const requiredOptions = new WeakSet<Option>();
const repeatableOptions = new WeakSet<Option>();

/**
 * An option that a command requires. It is not one of commander's mandatory options: those complain of what is missing
 * before they complain of the misspelt option that was meant.
 */
export function required<T>(flags: string, description: string, parse?: (text: string, before?: T) => T): Option {
  const option = new Option(flags, `${description} (required)`);
  requiredOptions.add(option);
  return parse ? option.argParser((text: string, before: T | undefined) => parse(text, before)) : option;
}

/** An option that may be repeated; `parse` adds to the values before. */
export function repeatable<T>(option: Option, parse: (text: string, before?: T) => T): Option {
  repeatableOptions.add(option);
  option.description += " (repeatable)";
  return option.argParser((text: string, before: T | undefined) => parse(text, before));
}

/** An option that takes one of a few words. */
export function choice(flags: string, description: string, words: readonly string[]): Option {
  return new Option(flags, description).choices(words);
}

/** Throws UsageError, naming all that are missing at once. */
export function requireOptions(command: Command): void {
  const missing = command.options.filter(
    (option) => requiredOptions.has(option) && command.getOptionValue(option.attributeName()) === undefined,
  );
  if (missing.length === 0) return;
  const [last, ...others] = missing.map(({ flags }) => flags).reverse();
  const list = others.length === 0 ? last : `${others.reverse().join(", ")} and ${last}`;
  throw new UsageError(`${missing.length === 1 ? "The option" : "The options"} ${list} must be given.`);
}

/** Makes commands refuse an option with a value that is given twice, since it is unclear which was meant. */
export function refuseTwice(commands: readonly Command[]): void {
  for (const command of commands) {
    for (const option of command.options) {
      if (!option.required || repeatableOptions.has(option)) continue;
      let given = 0;
      command.on(`option:${option.name()}`, () => {
        given++;
        if (given > 1) throw new UsageError(`Option ${option.flags} is given twice; give it once.`);
      });
    }
  }
}
