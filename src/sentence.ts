/** Sentences that name options. Code spells an option `allowNotFinite`, and the command line `--allow-not-finite`. */

/** A value for an option, or one for each of several names; in capitals if the reader must fill it in. */
type OptionValue = string | number | null | Readonly<Record<string, string | number | null>>;

/** An option, with the value to give it if the sentence states one. */
export class NamedOption {
  constructor(
    readonly name: string,
    readonly value: OptionValue | undefined,
  ) {}

  /** The option as code spells it: `allowNotFinite`, `damping: 0.01`, `show: "text"`, `sampleAxes: { x: 0 }`. */
  toString(): string {
    if (this.value === undefined) return this.name;
    if (typeof this.value !== "object" || this.value === null) return `${this.name}: ${literal(this.value)}`;
    const key = (name: string) => (/^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name));
    const entries = Object.entries(this.value).map(([name, value]) => `${key(name)}: ${literal(value)}`);
    return `${this.name}: { ${entries.join(", ")} }`;
  }
}

/** A text in quotes, unless it stands for what the reader must fill in. */
function literal(value: string | number | null): string {
  return typeof value === "string" && !/^[A-Z]+$/.test(value) ? JSON.stringify(value) : String(value);
}

/** Writes an option as the reader of a sentence types it. */
export type Spelling = (option: NamedOption) => string;

/** Text that names options. */
export class Sentence {
  constructor(private readonly parts: readonly (string | NamedOption)[]) {}

  spelled(spelling: Spelling = String): string {
    return this.parts.map((part) => (typeof part === "string" ? part : spelling(part))).join("");
  }

  toString(): string {
    return this.spelled();
  }

  /** Whether the sentence names this option. */
  names(option: string): boolean {
    return this.parts.some((part) => part instanceof NamedOption && part.name === option);
  }

  /** The sentence without its full stop. */
  clause(): Sentence {
    return new Sentence(
      this.parts.map((part, k) =>
        typeof part === "string" && k === this.parts.length - 1 ? part.replace(/\.$/, "") : part,
      ),
    );
  }

  /** The pieces of a value that was inserted into a template literal. */
  static partsOf(inserted: Inserted): readonly (string | NamedOption)[] {
    if (inserted instanceof Sentence) return inserted.parts;
    return [inserted instanceof NamedOption ? inserted : String(inserted)];
  }
}

/** Text that names no option, or a sentence. */
export type Words = string | Sentence;

type Inserted = Words | NamedOption | number | bigint;

/** An option, to insert into a `sentence`. */
export function option(name: string, value?: OptionValue): NamedOption {
  return new NamedOption(name, value);
}

/** Makes a sentence of a template literal: sentence`remove it, or allow it (${option("allowNotFinite")})`. */
export function sentence(texts: readonly string[], ...inserted: readonly Inserted[]): Sentence {
  return new Sentence(
    texts.flatMap((text, k) => {
      const next = inserted[k];
      return [text, ...(next === undefined ? [] : Sentence.partsOf(next))];
    }),
  );
}
