/** Commands on the installation itself: doctor, completion. */
import { Argument, type Command } from "commander";
import { completionScript, shells } from "../completion.js";
import { type DoctorOptions, doctor } from "../doctor.js";
import { exit, type Runner } from "./run.js";

export function doctorCommand(program: Command, run: Runner): void {
  program
    .command("doctor")
    .description("Check whether pergrad can run on this machine, and say what to do if not.")
    .summary("check whether pergrad can run on this machine")
    .option("--json", "print JSON")
    .action(run.alone<DoctorOptions>(doctor));
}

export function completionCommand(program: Command, run: Runner): void {
  program
    .command("completion")
    .description("Print a script that makes your shell complete commands and options.")
    .summary("print a shell's completion script")
    .addArgument(new Argument("<shell>", "your shell").choices(shells))
    .addHelpText("after", '\nExample: eval "$(pergrad completion bash)" in ~/.bashrc')
    .action((shell: string) => {
      run.io.stdout.write(completionScript(program, shell));
      run.ended(exit.done);
    });
}
