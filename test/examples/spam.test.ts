import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type Corpus, corpusOf, distinct, length, together } from "../../examples/spam/data.js";
import { loadMails, type Mail, parseMail } from "../../examples/spam/mails.js";
import { networks } from "../../examples/spam/networks.js";
import { scoresOf, shown, shownMails, strangest, strangestTable, studyOf } from "../../examples/spam/report.js";
import { encode, special, vocabularyOf, wordsOf, wordsOfMail } from "../../examples/spam/tokens.js";
import { stepsOf, study, train } from "../../examples/spam/training.js";

describe("a message", () => {
  it("is its subject and its body", async () => {
    const raw = "Received: by a\n\tfor b\nsubject: Hello\n there\nTo: me\n\nSubject: not this\n\nbody\n";
    expect(await parseMail(raw)).toEqual({ subject: "Hello there", body: "Subject: not this\n\nbody\n" });
    expect((await parseMail(raw.replaceAll("\n", "\r\n"))).subject).toBe("Hello there");
    expect(await parseMail("To: me")).toEqual({ subject: "", body: "" });
    expect(await parseMail("")).toEqual({ subject: "", body: "" });
  });

  it("is decoded: words of headers, encodings and character sets of bodies, and HTML where there is no text", async () => {
    const head = "Subject: =?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?B?IOKCrA==?=\nMIME-Version: 1.0\n";
    expect(
      await parseMail(
        `${head}Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9 a=\nb\n`,
      ),
    ).toEqual({ subject: "Grüße €", body: "café ab\n" });
    const html = Buffer.from("<b>win</b>").toString("base64");
    const { body } = await parseMail(`${head}Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n${html}\n`);
    expect(body.trim()).toBe("<b>win</b>");
  });
});

describe("words", () => {
  it("are letters, tags, and one sign each for numbers, money and exclamation marks", () => {
    expect(wordsOf("Don't PAY $1,000.50 NOW!!")).toEqual(["don't", "pay", "$", "0", "0", "0", "now", "!", "!"]);
    expect(wordsOf('<A HREF="http://x.y">Click</A> naïve')).toEqual(["<a", "click", "</a", "naïve"]);
    expect(wordsOf(`${"x".repeat(21)} <<< > 1 < 2`)).toEqual(["0", "0"]);
    expect(wordsOfMail({ subject: "a b", body: "c d e" }, 4)).toEqual(["a", "b", "<body>", "c"]);
  });

  it("of any text have no blanks and are short", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        for (const word of wordsOf(text)) expect(/^\S{1,20}$/u.test(word)).toBe(true);
      }),
    );
  });

  it("are numbered by how frequent they are, whatever their order", () => {
    const texts = [["b", "a", "c"], ["c", "<body>", "a"], ["c"]];
    const vocabulary = vocabularyOf(texts, 7);
    expect([...vocabulary.keys()].slice(5)).toEqual(["c", "a"]);
    expect(vocabularyOf(texts.toReversed(), 7)).toEqual(vocabulary);
    expect(vocabulary.get("<spam>")).toBe(special.spam);
    expect(encode(["c", "z", "<body>"], vocabulary, 5)).toEqual([5n, 1n, BigInt(special.body), 0n, 0n]);
    expect(encode(["c", "c", "c"], vocabulary, 2)).toEqual([5n, 5n]);
    expect(vocabularyOf([], 0).size).toBe(5);
  });
});

const invented = (n: number): Mail => ({
  id: `g/${n}`,
  subject: n % 3 === 0 ? "win money" : "meeting notes",
  body: `${n % 3 === 0 ? "click click now !" : "see the attached patch"} ${"abcdefghij"[n % 10]}${"klmnop"[n % 6]}`,
  spam: n % 3 === 0,
});

describe("a corpus", () => {
  let mails: Mail[];
  let corpus: Corpus;
  beforeAll(async () => {
    mails = await loadMails();
    corpus = corpusOf(mails, { seed: 1 });
  });

  it("holds all mails of the package", () => {
    expect(mails.length).toBe(6046);
    expect(mails.filter(({ spam }) => spam).length).toBe(1896);
    expect(new Set(mails.map(({ id }) => id)).size).toBe(6046);
    expect(mails.filter(({ subject }) => subject !== "").length).toBeGreaterThan(6000);
  });

  it("is split by seed, spam in proportion, with nothing in both parts", () => {
    const { train: own, heldOut, vocabulary } = corpus;
    const kept = distinct(mails).length;
    expect(own.mails.length + heldOut.mails.length).toBe(kept);
    expect(heldOut.mails.length).toBe(Math.round(0.2 * kept));
    const share = (list: readonly Mail[]) => list.filter(({ spam }) => spam).length / list.length;
    expect(share(own.mails)).toBeCloseTo(share(heldOut.mails), 3);
    const textOf = (mail: Mail) => wordsOfMail(mail, length).join(" ");
    const texts = new Set(own.mails.map(textOf));
    expect(heldOut.mails.some((mail) => texts.has(textOf(mail)))).toBe(false);
    expect(vocabulary.size).toBe(4000);
    expect(own.batch.x.dims).toEqual([own.mails.length, length]);
    expect(own.batch.x.data.every((word) => word >= 0n && word < 4000n)).toBe(true);
    expect([...heldOut.batch.target.data]).toEqual(heldOut.mails.map(({ spam }) => BigInt(spam)));
    expect(corpusOf(mails.slice(0, 300), { seed: 1 })).toEqual(corpusOf(mails.slice(0, 300), { seed: 1 }));
    expect(corpusOf(mails.slice(0, 300), { seed: 2 }).heldOut.mails).not.toEqual(
      corpusOf(mails.slice(0, 300), { seed: 1 }).heldOut.mails,
    );
  });

  it("keeps each wording once, and none that says nothing", () => {
    const one = invented(1);
    expect(distinct([one, { ...one, id: "again" }, { ...one, subject: "", body: "" }]).map(({ mail }) => mail)).toEqual(
      [one],
    );
    expect(corpusOf([], { seed: 0 }).train.batch.x.dims).toEqual([0, length]);
  });
});

describe.each(networks)("the $name", (network) => {
  it("learns to tell invented spam from ham, and measures every mail", async () => {
    const corpus = corpusOf(
      Array.from({ length: 60 }, (_, n) => invented(n)),
      { seed: 3 },
    );
    const options = { seed: 2, epochs: 12, batch: 8 };
    let steps = 0;
    const trained = await train(network, corpus, options, () => steps++);
    expect(steps).toBe(stepsOf(network, corpus.train.mails.length, options));
    const { train: own, heldOut } = corpus;
    const { ids, texts } = shownMails([...own.mails, ...heldOut.mails], "any");
    const content = await study(trained, together(corpus), { ids, texts });
    expect(content.show).toBe("text");
    const count = own.mails.length;
    expect(studyOf(content, 0, count).norms.length).toBe(count);
    // Alone or behind the others, a mail has the same gradient.
    const alone = studyOf(await study(trained, heldOut.batch)).norms;
    const found = studyOf(content, count);
    found.norms.forEach((norm, n) => {
      expect(norm / (alone[n] ?? 0)).toBeCloseTo(1, 4);
    });
    expect(scoresOf(corpus.heldOut, found)).toEqual({ accuracy: 1, falseAlarms: 0, missed: 0 });
    expect(found.norms.length).toBe(corpus.heldOut.mails.length);
    expect(found.norms.every((norm) => norm > 0)).toBe(true);
    expect(strangestTable(corpus.heldOut, found, 3).split("\n").length).toBe(4);
  });
});

describe("the report", () => {
  it("counts what is right, false alarms and misses", () => {
    const mails = [true, true, false, false, false].map((spam, n) => ({ ...invented(n), spam }));
    const predictions = [1, 0, 0, 0, 1];
    expect(scoresOf({ mails }, { predictions })).toEqual({ accuracy: 3 / 5, falseAlarms: 1 / 3, missed: 1 / 2 });
    expect(scoresOf({ mails: [] }, { predictions: [] })).toEqual({ accuracy: 0, falseAlarms: 0, missed: 0 });
  });

  it("lists the longest gradients first, in one line each", () => {
    expect(strangest({ norms: [1, 3, 2] }, 2)).toEqual([1, 2]);
    expect(shown("a\n\tb\u001b[31m  c", 20)).toBe("a b [31m c");
    expect(shown("abcdef", 4)).toBe("abc…");
  });
});
