/** All commands with their options, as commander knows them, in the order of the help. */
import { Command } from "commander";
import { version } from "../io/package-file.js";
import { attributeCommand } from "./commands/attribute.js";
import { curvatureCommand } from "./commands/curvature.js";
import { packCommand, predictCommand } from "./commands/data.js";
import { checkCommand, explainCommand, inspectCommand } from "./commands/examining.js";
import { clippedSumCommand, gradsCommand, normsCommand, projectCommand } from "./commands/gradients.js";
import { completionCommand, doctorCommand } from "./commands/installation.js";
import { cleanCommand, reportCommand } from "./commands/pages.js";
import { Runner } from "./commands/run.js";
import { epsilonCommand, trainCommand } from "./commands/train.js";
import type { Io } from "./io.js";
import { refuseTwice } from "./options.js";

const definitions: readonly ((program: Command, run: Runner) => void)[] = [
  gradsCommand,
  normsCommand,
  clippedSumCommand,
  projectCommand,
  explainCommand,
  checkCommand,
  curvatureCommand,
  predictCommand,
  inspectCommand,
  reportCommand,
  packCommand,
  cleanCommand,
  attributeCommand,
  trainCommand,
  epsilonCommand,
  doctorCommand,
  completionCommand,
];

/** The program. Each action passes its exit code to `ended`. */
export function commands(io: Io, ended: (code: number) => void): Command {
  const program = new Command("pergrad")
    .description("Per-sample gradients of any ONNX model.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
    .exitOverride()
    // main writes errors once, as one sentence.
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: () => {},
      outputError: () => {},
    })
    .addHelpText("after", epilogue);
  const run = new Runner(io, ended);
  for (const define of definitions) define(program, run);
  refuseTwice(program.commands);
  return program;
}

const epilogue = `
Example: pergrad norms resnet.onnx --data images.safetensors --loss cross_entropy --out norms.safetensors
The data file holds the model's inputs under their names, and "target".

Exit codes: 0 done, 1 the model or the data is at fault, 2 wrong usage, 3 a check found a difference.
`;
