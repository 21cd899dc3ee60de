/** The output of `npm run spam`, and what its pages say about each mail. */
import type { ReportContent } from "../../src/report/types.js";
import type { Part } from "./data.js";
import type { Mail } from "./mails.js";

/** One entry per mail in each list. */
export interface Study {
  readonly norms: readonly number[];
  readonly losses: readonly number[];
  readonly predictions: readonly number[];
}

/** The part of a page's content that belongs to a range of its mails (the end is excluded). */
export function studyOf({ columns, predictions = [] }: ReportContent, from = 0, to?: number): Study {
  const column = (key: string) => Array.from(columns.find((each) => each.key === key)?.values.slice(from, to) ?? []);
  return { norms: column("norm"), losses: column("loss"), predictions: [...predictions].slice(from, to) };
}

/** Letters of a body that a page shows. */
const bodyShown = 600;

/** Names and texts of mails, for a page. */
export function shownMails(mails: readonly Mail[], part: string): { ids: string[]; texts: string[] } {
  return {
    ids: mails.map(({ id }) => `${id} (${part})`),
    texts: mails.map(
      ({ subject, body }) =>
        `${shown(subject, 200) || "(no subject)"}\n${shown(body.slice(0, 4 * bodyShown), bodyShown)}`,
    ),
  };
}

/** Shares of the mails, from 0 to 1. */
export interface Scores {
  readonly accuracy: number;
  /** Ham that was taken for spam, as a share of all ham. */
  readonly falseAlarms: number;
  /** Spam that was taken for ham, as a share of all spam. */
  readonly missed: number;
}

export function scoresOf({ mails }: Pick<Part, "mails">, { predictions }: Pick<Study, "predictions">): Scores {
  const share = (spam: boolean | undefined, wrong: boolean) => {
    const own = mails.flatMap((mail, n) => (spam === undefined || mail.spam === spam ? [{ mail, n }] : []));
    const hits = own.filter(({ mail, n }) => ((predictions[n] === 1) !== mail.spam) === wrong);
    return own.length === 0 ? 0 : hits.length / own.length;
  };
  return { accuracy: share(undefined, false), falseAlarms: share(false, true), missed: share(true, true) };
}

/** Indices of the mails with the longest gradients, longest first. */
export function strangest({ norms }: Pick<Study, "norms">, count: number): number[] {
  return norms
    .map((norm, n) => ({ norm, n }))
    .sort((a, b) => b.norm - a.norm)
    .slice(0, count)
    .map(({ n }) => n);
}

/** One line, without control characters, cut to `width`. */
export function shown(text: string, width: number): string {
  const line = text.replace(/[\p{C}\s]+/gu, " ").trim();
  const letters = [...line];
  return letters.length <= width ? line : `${letters.slice(0, width - 1).join("")}…`;
}

const kind = (spam: boolean) => (spam ? "spam" : "ham");

/** Columns padded to their widest entry; those of `right` are aligned right. */
function table(rows: readonly (readonly string[])[], right: ReadonlySet<number>): string {
  const widths = (rows[0] ?? []).map((_, k) => Math.max(...rows.map((row) => [...(row[k] ?? "")].length)));
  const line = (row: readonly string[]) =>
    row.map((cell, k) => (right.has(k) ? cell.padStart(widths[k] ?? 0) : cell.padEnd(widths[k] ?? 0))).join("  ");
  return rows.map((row) => `  ${line(row).trimEnd()}`).join("\n");
}

export function strangestTable({ mails }: Pick<Part, "mails">, study: Study, count: number): string {
  const rows = strangest(study, count).flatMap((n) => {
    const mail = mails[n];
    if (!mail) return [];
    const [norm, loss] = [study.norms[n] ?? 0, study.losses[n] ?? 0];
    return [
      [
        norm.toFixed(2),
        loss.toFixed(2),
        kind(mail.spam),
        kind(study.predictions[n] === 1),
        shown(mail.subject, 60) || "(no subject)",
        mail.id,
      ],
    ];
  });
  return table([["norm", "loss", "is", "taken for", "subject", "mail"], ...rows], new Set([0, 1]));
}

export interface Row {
  readonly name: string;
  readonly scores: Scores;
  readonly seconds: number;
}

export function scoresTable(rows: readonly Row[]): string {
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  const cells = rows.map(({ name, scores, seconds }) => [
    name,
    percent(scores.accuracy),
    percent(scores.falseAlarms),
    percent(scores.missed),
    `${seconds.toFixed(0)} s`,
  ]);
  return table([["network", "right", "false alarms", "missed spam", "training"], ...cells], new Set([1, 2, 3, 4]));
}
