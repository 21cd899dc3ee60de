/** The commands and their options, as commander knows them. */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { version } from "../io/package-file.js";
import { type AttributeOptions, attribute } from "./attribute.js";
import { attributeOnCluster } from "./attribute-on-cluster.js";
import { type CheckCommandOptions, checkModel } from "./check.js";
import { type CleanCommandOptions, clean } from "./clean.js";
import { completionScript, shells } from "./completion.js";
import {
  type ComputeOptions,
  clippedSum,
  type GradsOptions,
  grads,
  norms,
  type ProjectCommandOptions,
  project,
} from "./compute.js";
import { type CurvatureCommandOptions, curvatureNames, curvatureOf, curvatureWants } from "./curvature.js";
import { type DoctorOptions, doctor } from "./doctor.js";
import { accountants, type EpsilonCommandOptions, epsilonCommand } from "./epsilon.js";
import { programs, wantNames } from "./explain.js";
import { type AnyExplainOptions, explainAny } from "./explain-method.js";
import { type InspectOptions, inspect } from "./inspect.js";
import type { Io } from "./io.js";
import { method, methodWords, rates, withApproximation } from "./method-options.js";
import { choice, refuseTwice, repeatable, required, requireOptions } from "./options.js";
import { outOption, pageFile, tables, tensors, withCluster, withFolder, withOutput } from "./outputs.js";
import { type PackCommandOptions, pack } from "./pack.js";
import { type PredictCommandOptions, predictions } from "./predict.js";
import { Progress } from "./progress.js";
import { type ReportCommandOptions, report } from "./report.js";
import { ofModel, optimizing, running, withData, withLoss } from "./shared-options.js";
import { trainModel } from "./train.js";
import {
  clippings,
  fromZero,
  modelFile,
  positive,
  probability,
  samplings,
  seed,
  type TrainCommandOptions,
} from "./train-options.js";
import { collect, collectInto, type MaxNorm, maxNorm, number, wholeNumber } from "./usage.js";

/** Exit codes. */
export const exit = { done: 0, fault: 1, usage: 2, difference: 3 } as const;

type Action<O> = (model: string, options: O, io: Io, progress: Progress) => Promise<unknown>;

/** The program. An action that is done gives its exit code to `ended`. */
export function commands(io: Io, ended: (code: number) => void): Command {
  const program = new Command("pergrad")
    .description("Per-sample gradients of any ONNX model.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
    .exitOverride()
    // Errors are written once, as one sentence, by main.
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: () => {},
      outputError: () => {},
    })
    .addHelpText("after", epilogue);

  const run =
    <O>(action: Action<O>) =>
    async (model: string, options: O, command: Command) => {
      requireOptions(command);
      const progress = new Progress(io);
      try {
        ended((await action(model, options, io, progress)) === false ? exit.difference : exit.done);
      } finally {
        progress.stop();
      }
    };

  withCluster(withData(program, "grads", "write each sample's loss and gradients", "--out grads.safetensors"))
    .option("--float16", "write the gradients in half precision: half the size; beyond 65504 they become infinite")
    .action(run<GradsOptions>(grads));
  withCluster(
    withData(
      program,
      "norms",
      "write the norm of each sample's gradient, in total and by parameter",
      "--out norms.safetensors",
    ),
    tables,
  ).action(run<ComputeOptions>(norms));
  withCluster(
    withData(program, "clipped-sum", "write the sum of all clipped gradients", "--max-norm 1 --out sum.safetensors"),
  )
    .addOption(
      repeatable(
        required("--max-norm <C>", "clip norm of a sample's gradient, or NAME=C for each parameter's part"),
        maxNorm,
      ),
    )
    .option("--leave-out-not-finite", "leave samples whose gradients are not finite out of the sum, and count them")
    .action(run<ComputeOptions & { readonly maxNorm: MaxNorm }>(clippedSum));
  withCluster(
    withData(
      program,
      "project",
      "write each sample's gradient, projected to a few numbers that keep inner products",
      "--dims 512 --out projected.safetensors",
    ),
  )
    .addOption(required("--dims <D>", "numbers for each sample", wholeNumber(1)))
    .option("--seed <n>", "of the projection (default: 0)", seed)
    .action(run<ProjectCommandOptions>(project));
  withApproximation(withLoss(program, "explain", "show how each parameter's gradients are computed", ""))
    .option("--data <file>", "data that gives symbolic dimensions and the target's shape")
    .addOption(
      repeatable(
        new Option(
          "--want <list>",
          `wants of one program, of ${wantNames}; default: the first three, one program each`,
        ),
        programs,
      ),
    )
    .option("--graph", "print the graph that the runtime executes, one line for each node")
    .option("--rewrites", "print which rewriting rules fired, and where")
    .option("--profile", "print time and bytes by node, for data or random numbers")
    .option("--samples <K>", "samples that --profile runs (default: at most 64)", wholeNumber(1))
    .option("--threads <n>", "threads that --profile uses (default: all cores)", wholeNumber(1))
    .option("--save-stages <folder>", "write the graph of each stage there, as numbered .onnx files")
    .option(
      "--method <name>",
      `of attribute (${methodWords.join(", ")}): show by which approximation each parameter takes part`,
      method,
    )
    .option("--json", "print JSON")
    .action(run<AnyExplainOptions>(explainAny));
  withData(program, "check", "compare gradients with a loop over samples and with finite differences", "")
    .option("--samples <K>", "samples to compare, from the front (default: at most 8)", wholeNumber(1))
    .option(
      "--differences <K>",
      "gradient elements to compare with finite differences, in all (default: 4 per parameter, at most 64)",
      wholeNumber(0),
    )
    .option("--no-second-derivatives", "leave out second derivatives, which take long in deep recurrent models")
    .option("--json", "print JSON")
    .action(run<CheckCommandOptions>(checkModel));
  withOutput(
    withData(
      program,
      "curvature",
      "write second derivatives of each sample's loss: products with a vector, diagonals, traces",
      "--want hvp,ggn-diagonal --vector v.safetensors --out curvature.safetensors",
    ),
  )
    .addOption(required("--want <list>", `what to compute, separated by commas, of ${curvatureNames}`, curvatureWants))
    .option("--vector <file>", 'safetensors or npz file with "v/PARAMETER", for hvp and ggn-product')
    .action(run<CurvatureCommandOptions>(curvatureOf));
  ofModel(program, "predict", "write the model's outputs for each sample", "--data data.safetensors --out outputs.csv")
    .addOption(required("--data <file>", "safetensors or npz file with the inputs"))
    .addOption(outOption(tables))
    .option("--output <name>", "the output to compute (default: all)")
    .option("--microbatch-size <b>", "samples computed at a time (default: 256)", wholeNumber(1))
    .option("--allow-not-finite", "compute even if the data holds NaN or infinity")
    .action(run<PredictCommandOptions>(predictions));
  ofModel(program, "inspect", "show what is in a model, and what pergrad would do with it", "")
    .option("--data <file>", "data that gives symbolic dimensions")
    .option("--json", "print JSON")
    .action(run<InspectOptions>(inspect));
  showing(withData(program, "report", "write a page on a data set's losses and gradient norms", "--report report.html"))
    .addOption(required("--report <file>", "where to write the page, .html; numbers go beside it", pageFile))
    .action(run<ReportCommandOptions>(report));
  program
    .command("pack")
    .description("Turn a table (CSV, JSON lines, Parquet, Arrow) or a folder of pictures into a data file.")
    .summary("turn a table or a folder of pictures into a data file")
    .argument("<source>", "file, or folder with a folder of pictures for each class")
    .addOption(outOption(tensors))
    .option("--target <column>", "the column of the target: numbers, or texts that become classes")
    .addOption(
      repeatable(
        new Option("--input <name=columns>", "columns of an input, with commas between (default: x, of all others)"),
        collectInto("NAME=COLUMN,COLUMN", (text: string) => text.split(",")),
      ),
    )
    .option("--ids <column>", "the column of each sample's name")
    .option("--texts <column>", "the column of each sample's text, for reports")
    .addOption(repeatable(new Option("--integers <name>", "an input of whole numbers, int64"), collect))
    .option("--size <WxH>", "size that pictures are brought to, as 28x28", pictureSize)
    .option("--grey", "pictures in grey, one channel")
    .addHelpText("after", "\nExample: pergrad pack flowers.csv --target species --out flowers.safetensors")
    .action(run<PackCommandOptions>(pack));
  cleaning(program).action(run<CleanCommandOptions>(clean));
  attribution(program).action(
    async (model: string, checkpoints: readonly string[], options: AttributeOptions, command) =>
      run<AttributeOptions>((file, given, ...rest) => {
        const attributed = given.ray === undefined ? attribute : attributeOnCluster;
        return attributed(file, checkpoints, given, ...rest);
      })(model, options, command),
  );
  training(program).action(run<TrainCommandOptions>(trainModel));
  calculator(program).action(async (options: EpsilonCommandOptions, command: Command) => {
    requireOptions(command);
    await epsilonCommand(options, io);
    ended(exit.done);
  });
  program
    .command("doctor")
    .description("Check whether pergrad can run here, and say what to do if not.")
    .summary("check whether pergrad can run here")
    .option("--json", "print JSON")
    .action(async (options: DoctorOptions) => {
      ended((await doctor(options, io)) ? exit.done : exit.fault);
    });
  program
    .command("completion")
    .description("Print a script that completes commands and options in your shell.")
    .summary("print a shell's completion script")
    .addArgument(new Argument("<shell>", "whose script").choices(shells))
    .addHelpText("after", '\nExample: eval "$(pergrad completion bash)" in ~/.bashrc')
    .action((shell: string) => {
      io.stdout.write(completionScript(program, shell));
      ended(exit.done);
    });
  refuseTwice(program.commands);
  return program;
}

/** The command without a model. */
function calculator(program: Command): Command {
  const above0 = (text: string) => number(text, (value) => value > 0, "a number above 0");
  const probability = (text: string) => number(text, (value) => value >= 0 && value <= 1, "a number from 0 to 1");
  return program
    .command("epsilon")
    .description("Compute how private a training is, or the noise that it needs.")
    .summary("compute how private a training is, or the noise that it needs")
    .addOption(
      new Option("--noise-multiplier <s>", "standard deviation of the noise over the clip norm")
        .argParser(fromZero)
        .conflicts("targetEpsilon"),
    )
    .option("--target-epsilon <e>", "instead of the noise: the target epsilon", above0)
    .addOption(
      new Option("--sampling-rate <q>", "probability of a sample to be in a batch")
        .argParser(probability)
        .conflicts(["batchSize", "samples"]),
    )
    .option("--batch-size <B>", "instead of the rate: expected size of a batch", wholeNumber(1))
    .option("--samples <N>", "and the number of samples in all", wholeNumber(1))
    .addOption(new Option("--steps <T>", "number of steps").argParser(wholeNumber(0)).conflicts("epochs"))
    .option("--epochs <E>", "instead of the steps: passes over the data, on average", above0)
    .addOption(required("--delta <d>", "probability, well below 1 / samples", probability))
    .addOption(choice("--accountant <name>", "whose bound to print (default: all; for the noise, pld)", accountants))
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nExample: pergrad epsilon --noise-multiplier 1 --batch-size 256 --samples 60000 --epochs 20 --delta 1e-5",
    );
}

const epilogue = `
Example: pergrad norms resnet.onnx --data images.safetensors --loss cross_entropy --out norms.safetensors
The data file holds the model's inputs under their names, and "target".

Exit codes: 0 done, 1 the model or the data is at fault, 2 wrong usage, 3 a check found a difference.
`;

/** How the samples of a page are shown. */
function showing(command: Command): Command {
  return command
    .addOption(
      choice("--show <how>", "samples as pictures, texts, rows of numbers or sounds (default: as fits)", shows),
    )
    .option("--rate <Hz>", "of sounds: numbers that make a second", wholeNumber(1))
    .option("--ids <file>", "a name for each sample: a line of a text file, or an entry of a JSON array")
    .option("--texts <file>", "a text for each sample, in the same way")
    .option("--class-names <list>", "names of the classes, with commas between", (text) => text.split(","))
    .option("--title <text>", "title of the page");
}

function cleaning(program: Command): Command {
  const what = "score each sample: a wrong label, a copy, an outlier, of no use";
  return optimizing(
    showing(withData(program, "clean", what, "--out scores.csv"))
      .option("--report <file>", "write a page too, .html, with its numbers beside it", pageFile)
      .addOption(outOption(tables))
      .addOption(
        repeatable(
          new Option(
            "--checkpoint <file>",
            "parameters at a time of the training, in order: .onnx, .safetensors or .npz",
          ),
          collect,
        ),
      )
      .option("--dims <D>", "numbers that each gradient is projected to (default: 512)", wholeNumber(1))
      .option("--neighbours <k>", "neighbours of each sample (default: 10)", wholeNumber(1))
      .option("--damping <d>", "of self_influence (default: a tenth of the Fisher matrix's mean eigenvalue)", positive)
      .option(
        "--epochs <E>",
        "train the untrained model here, and cross-validate: passes over the data",
        wholeNumber(1),
      )
      .option("--batch-size <B>", "and: samples per step", wholeNumber(1))
      .option(
        "--folds <K>",
        "and: parts of the data, each predicted by a model trained on the others (default: 5)",
        wholeNumber(2),
      ),
  );
}

function attribution(program: Command): Command {
  const what = "write what each training sample does to the loss of each query";
  const example = "--method influence --out scores.safetensors";
  const data = "--train train.safetensors --query query.safetensors ";
  return withApproximation(withFolder(running(withLoss(program, "attribute", what, example, data)), tables))
    .argument("[checkpoints...]", "more weights of the same model: .onnx, or .safetensors by parameter")
    .option("--train <file>", 'safetensors or npz file with the training samples: inputs and "target" (required here)')
    .option(
      "--ray <url>",
      "compute on the Ray cluster with this dashboard; --data has the training samples, and --out is a folder",
    )
    .option("--data <glob>", "with --ray: a folder or a glob of Parquet files with the training samples")
    .addOption(required("--query <file>", "the same with the samples that are to be explained"))
    .addOption(required("--method <name>", `how: ${methodWords.join(", ")}`, method))
    .option(
      "--damping <d>",
      "number added to the matrix's diagonal (default: measured on held-out training samples)",
      fromZero,
    )
    .option("--learning-rates <list>", "of tracin: one for each checkpoint, MODEL first, with commas between", rates)
    .option("--cosine", "of tracin: divide gradients by their norms")
    .addOption(choice("--by <name>", "of relatif: what scores are relative to (default: loss)", ["loss", "parameters"]))
    .option("--seed <n>", "of trak and logra: of the projection (default: 0)", seed)
    .option("--projection <file>", 'of trak: a file with "projection" [parameters, dims] in place of a random one')
    .option("--l2 <f>", "of representer: factor of the penalty on the last layer's weights", positive)
    .option("--self", 'write each training sample\'s score with itself too, as "self"')
    .option(
      "--leave-out",
      'of influence and several models: write by how much losses grow without a sample, as "change", and the "error"',
    );
}

function training(program: Command): Command {
  const what = "train a model, with --private by DP-SGD, and write it with its new weights";
  const example = "--epochs 10 --batch-size 256 --private --epsilon 3 --delta 1e-5 --out trained.onnx";
  return optimizing(withData(program, "train", what, example))
    .addOption(required("--out <file>", "where to write the trained model, .onnx", modelFile))
    .addOption(new Option("--epochs <E>", "passes over the data, on average").argParser(positive).conflicts("steps"))
    .option("--steps <T>", "or: steps to take", wholeNumber(1))
    .addOption(required("--batch-size <B>", "samples per step, on average", wholeNumber(1)))
    .option("--microbatch-size <b>", "samples computed at a time; changes memory, not results", wholeNumber(1))
    .option("--seed <n>", "seed of batches and private noise; private training is then NOT PRIVATE", seed)
    .option("--private", "clip each sample's gradient and add noise to their sum")
    .addOption(
      new Option("--epsilon <e>", "the epsilon that all steps together reach")
        .argParser(positive)
        .conflicts("noiseMultiplier"),
    )
    .option("--noise-multiplier <s>", "or: the noise's standard deviation, over the sensitivity", fromZero)
    .option("--delta <d>", "the probability left out of the guarantee, well below 1 / samples", probability)
    .option("--max-norm <C>", "clip norm of each gradient; the initial one if adaptive (default: 1)", positive)
    .addOption(choice("--clipping <name>", "how gradients are clipped (default: flat)", clippings))
    .addOption(
      choice("--sampling <name>", "how batches are drawn (default: shuffled; with --private, poisson)", samplings),
    )
    .option("--replace-batch-norm", "replace batch normalisation with group normalisation")
    .option(
      "--checkpoint <folder>",
      "keep the run there, or resume it: its state and, for private training, what it has spent",
    )
    .option("--checkpoint-every <K>", "steps between checkpoints (default: 100)", wholeNumber(1))
    .option("--diagnose-page <file>", "a page of diagnostics that is drawn while the training runs, .html", pageFile)
    .option("--diagnose-every <K>", "steps from one that is diagnosed to the next (default: 1)", wholeNumber(1));
}

/** "28x28" */
function pictureSize(text: string): { readonly width: number; readonly height: number } {
  const [, width, height] = /^(\d+)x(\d+)$/i.exec(text) ?? [];
  if (Number(width) > 0 && Number(height) > 0) return { width: Number(width), height: Number(height) };
  throw new InvalidArgumentError("it must be WIDTHxHEIGHT, as 28x28");
}

const shows = ["image", "text", "table", "sound", "none"] as const;
