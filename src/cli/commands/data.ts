/** Commands that make a data file, and the model's outputs for one: pack, predict. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { choice, repeatable, required } from "../options.js";
import { outOption, tables, tensors } from "../outputs.js";
import { type PackCommandOptions, pack } from "../pack.js";
import { type PredictCommandOptions, predictions } from "../predict.js";
import { ofModel } from "../shared-options.js";
import { collect, collectInto, wholeNumber } from "../usage.js";
import type { Runner } from "./run.js";

export function predictCommand(program: Command, run: Runner): void {
  ofModel(program, "predict", "write the model's outputs for each sample", "--data data.safetensors --out outputs.csv")
    .addOption(required("--data <file>", "the inputs, .safetensors or .npz"))
    .addOption(outOption(tables))
    .option("--output <name>", "the output to write (default: all)")
    .option("--microbatch-size <b>", "samples computed at a time (default: 256)", wholeNumber(1))
    .option("--allow-not-finite", "compute even if the data holds NaN or infinity")
    .action(run.onModel<PredictCommandOptions>(predictions));
}

export function packCommand(program: Command, run: Runner): void {
  program
    .command("pack")
    .description("Turn a table (CSV, JSON lines, Parquet, Arrow) or a folder of pictures into a data file.")
    .summary("turn a table or a folder of pictures into a data file")
    .argument("<source>", "file, or folder with a folder of pictures for each class")
    .addOption(outOption(tensors))
    .option(
      "--target <column>",
      "the column of the target: numbers, lists of them, or texts that become classes; or several columns of numbers: a,b",
    )
    .addOption(
      choice("--target-type <type>", "of the target (default: int64 if all numbers are whole and for classes)", [
        "float32",
        "int64",
      ]),
    )
    .option(
      "--classes <list>",
      "all classes in the order of their numbers, with commas between, or a file NAME.classes.json of an earlier call (default: those found, in alphabetical order)",
    )
    .addOption(
      repeatable(
        new Option("--input <name=columns>", "columns of an input, with commas between (default: x, of all others)"),
        collectInto("NAME=COLUMN,COLUMN", (text: string) => text.split(",")),
      ),
    )
    .option("--ids <column>", "the column of each sample's name")
    .option("--texts <column>", "the column of each sample's text, for reports")
    .addOption(repeatable(new Option("--integers <name>", "an input of whole numbers, int64"), collect))
    .option("--allow-not-finite", "keep missing values (as NaN) and infinities in inputs, which are refused otherwise")
    .option("--size <WxH>", "size that pictures are brought to, as 28x28", pictureSize)
    .option("--grey", "pictures in grey, one channel")
    .addHelpText("after", "\nExample: pergrad pack flowers.csv --target species --out flowers.safetensors")
    .action(run.onModel<PackCommandOptions>(pack));
}

/** "28x28" */
function pictureSize(text: string): { readonly width: number; readonly height: number } {
  const [, width, height] = /^(\d+)x(\d+)$/i.exec(text) ?? [];
  if (Number(width) > 0 && Number(height) > 0) return { width: Number(width), height: Number(height) };
  throw new InvalidArgumentError("it must be WIDTHxHEIGHT, as 28x28");
}
