/**
 * The globs that select names. Names are not paths: "/" and "." are ordinary characters, and a name may begin with any.
 * `*` stands for any characters, `?` for one, `[ab]`, `[a-c]` and `[!ab]` for one of a set, `{weight,bias}` for one of
 * several patterns, and a backslash makes the next character literal.
 */
export function globTest(glob: string): (name: string) => boolean {
  const pattern = new RegExp(`^(?:${new Translation(glob).all()})$`, "su");
  return (name) => pattern.test(name);
}

/** Translates a glob, read once from left to right, to a regular expression. */
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

  /** Returns null and consumes nothing if no bracket closes the set. A bracket that comes first is a member. */
  #set(): string | null {
    const from = this.#at;
    const negated = this.#letters[from] === "!" || this.#letters[from] === "^";
    const first = from + (negated ? 1 : 0);
    const end = this.#letters.indexOf("]", first + 1);
    if (end < 0) return null;
    this.#at = end + 1;
    const members = this.#letters.slice(first, end).map((each) => (each === "-" ? each : literal(each)));
    // A regular expression has no backward range ("b-a"): here it is the set of its letters.
    const range = members.join("");
    const set = isSet(range) ? range : members.map(literalDash).join("");
    return `[${negated ? "^" : ""}${set}]`;
  }

  /** Returns null and consumes nothing if no brace closes the alternatives, or if there is only one pattern. */
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

/** Whether these form a valid set: a backward range ("b-a") does not. */
function isSet(members: string): boolean {
  return [...members.matchAll(/(.)-(.)/gsu)].every(([, from = "", to = ""]) => from <= to);
}

const literalDash = (letter: string) => (letter === "-" ? "\\-" : letter);

/** A character as a regular expression writes it, inside brackets and outside; a dash is one only outside. */
function literal(letter: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(letter) ? `\\${letter}` : letter;
}
