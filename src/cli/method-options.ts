/** Options that say by which method training samples are scored: of attribute, and of explain. */
import { type Command, InvalidArgumentError } from "commander";
import { curvatureWords, inverseWords, methodWords } from "./attribute.js";
import { choice } from "./options.js";
import { wholeNumber } from "./usage.js";

/** Those on which it depends how parameters take part. */
export function withApproximation(command: Command): Command {
  return command
    .addOption(choice("--inverse <name>", "of influence and relatif (default: gram)", inverseWords))
    .addOption(
      choice(
        "--curvature <name>",
        "matrix that is inverted (default: fisher for gram, diagonal and datainf, else ggn)",
        curvatureWords,
      ),
    )
    .option("--dims <k>", "of trak and logra: numbers that a gradient is projected to (default: 2048)", wholeNumber(1))
    .option("--layer <name>", "of representer: weight of the last linear layer (default: the last that fits)");
}

/** One of the methods. */
export function method(text: string): string {
  if (methodWords.some((word) => word === text)) return text;
  throw new InvalidArgumentError(`it must be one of ${methodWords.join(", ")}`);
}
