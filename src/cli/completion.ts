/** Completion of commands, options and their words in the user's shell. */
import type { Command } from "commander";

export const shells = ["bash", "zsh", "fish"] as const;

/** The script that a shell reads; it completes file names where nothing else fits. */
export function completionScript(program: Command, shell: string): string {
  if (shell === "fish") return fish(program.commands);
  // zsh can read a bash completion.
  return `${shell === "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : ""}${bash(program.commands)}`;
}

function optionsOf(command: Command): string[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long }) => long ?? []);
}

function bash(commands: readonly Command[]): string {
  const words = new Map(commands.flatMap(({ options }) => options.map(({ long, argChoices }) => [long, argChoices])));
  const values = [...words].flatMap(([long, choices]) =>
    choices ? [`    ${long}) COMPREPLY=($(compgen -W "${choices.join(" ")}" -- "$current")); return ;;`] : [],
  );
  const options = commands.map(
    (command) =>
      `    ${command.name()}) [[ "$current" == -* ]] && COMPREPLY=($(compgen -W "${optionsOf(command).join(" ")}" -- "$current")) ;;`,
  );
  return `_pergrad() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map((command) => command.name()).join(" ")} help" -- "$current"))
    return
  fi
  case "$before" in
${values.join("\n")}
  esac
  case "\${COMP_WORDS[1]}" in
${options.join("\n")}
  esac
}
complete -o default -F _pergrad pergrad
`;
}

function fish(commands: readonly Command[]): string {
  const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap((command) => [
    `complete -c pergrad -n __fish_use_subcommand -a ${command.name()} -d ${quoted(command.summary())}`,
    ...command.options.map(({ long, required, argChoices, description }) =>
      [
        `complete -c pergrad -n '__fish_seen_subcommand_from ${command.name()}' -l ${long?.slice(2)}`,
        ...(required ? ["-r"] : []),
        ...(argChoices ? [`-f -a ${quoted(argChoices.join(" "))}`] : []),
        `-d ${quoted(description)}`,
      ].join(" "),
    ),
  ]);
  return `${lines.join("\n")}\n`;
}
