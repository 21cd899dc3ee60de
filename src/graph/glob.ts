/**
 * The globs that names are selected by. Names are not paths: "/" and "." are ordinary characters, and a name may begin
 * with any. `*` stands for any characters, `?` for one, `[ab]`, `[a-c]` and `[!ab]` for one of a set, `{weight,bias}` for
 * one of several patterns, and a backslash takes the meaning from what follows.
 */
export function globTest(glob: string): (name: string) => boolean {
  const pattern = new RegExp(`^(?:${new Translation(glob).all()})$`, "su");
  return (name) => pattern.test(name);
}

/** From a glob, read once from left to right, to a regular expression. */
class Translation {
  readonly #letters: readonly string[];
  #at = 0;

  constructor(glob: string) {
    this.#letters = [...glob];
  }

  all(): string {
    let pattern = "";
    while (this.#at < this.#letters.length) pattern += this.#next();
    return pattern;
  }

  #next(): string {
    const letter = this.#take();
    if (letter === "*") return ".*";
    if (letter === "?") return ".";
    if (letter === "\\") return literal(this.#at < this.#letters.length ? this.#take() : letter);
    if (letter === "[") return this.#set() ?? literal(letter);
    if (letter === "{") return this.#alternatives() ?? literal(letter);
    return literal(letter);
  }

  #take(): string {
    return this.#letters[this.#at++] ?? "";
  }

  /** Null, and nothing is taken, where no bracket closes it. A bracket that stands first is a member. */
  #set(): string | null {
    const from = this.#at;
    const negated = this.#letters[from] === "!" || this.#letters[from] === "^";
    const first = from + (negated ? 1 : 0);
    const end = this.#letters.indexOf("]", first + 1);
    if (end < 0) return null;
    this.#at = end + 1;
    const members = this.#letters.slice(first, end).map((each) => (each === "-" ? each : literal(each)));
    // What a regular expression takes for no range ("b-a") is a set of its letters.
    const range = members.join("");
    const set = isSet(range) ? range : members.map(literalDash).join("");
    return `[${negated ? "^" : ""}${set}]`;
  }

  /** Null, and nothing is taken, where no brace closes it or there is but one pattern. */
  #alternatives(): string | null {
    const from = this.#at;
    const patterns = [""];
    while (this.#at < this.#letters.length) {
      const letter = this.#letters[this.#at];
      if (letter === "}" && patterns.length > 1) {
        this.#at++;
        return `(?:${patterns.join("|")})`;
      }
      if (letter === "}") break;
      if (letter === ",") {
        this.#at++;
        patterns.push("");
      } else patterns.push((patterns.pop() ?? "") + this.#next());
    }
    this.#at = from;
    return null;
  }
}

/** A range backwards ("b-a") is none. */
function isSet(members: string): boolean {
  return [...members.matchAll(/(.)-(.)/gsu)].every(([, from = "", to = ""]) => from <= to);
}

const literalDash = (letter: string) => (letter === "-" ? "\\-" : letter);

/** As it stands in a regular expression, within brackets and outside. */
function literal(letter: string): string {
  return /[\\^$.*+?()[\]{}|/-]/.test(letter) ? `\\${letter}` : letter;
}
