/** What the HTML of all pages shares: the document around their contents, and pieces of these. */
import { style } from "./style.js";

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** The data that a page's script reads, in which a "<" could end the element that holds it. */
export function dataElement(data: unknown): string {
  return `<script type="application/json" id="data">${JSON.stringify(data).replaceAll("<", "\\u003c")}</script>`;
}

/** A section with a chart, which the page's script draws at the place of this id. */
export function chartSection(id: string, heading: string, text: string): string {
  return `<section><h2>${escaped(heading)}</h2><p>${escaped(text)}</p>${chartPlace(id, heading)}</section>`;
}

/** @param label what the chart shows, for those who cannot see it */
export function chartPlace(id: string, label: string): string {
  return `<div class="chart" id="${id}" role="img" aria-label="${escaped(label)}"></div>`;
}

/** A page's parts; `head` and `body` are HTML. */
export interface Document {
  readonly title: string;
  /** Scripts that run before the body is there. Default: none. */
  readonly head?: string;
  readonly body: string;
  /** The script that runs at the end. */
  readonly client: string;
}

export function documentOf({ title, head = "", body, client }: Document): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
${head}<style>${style}</style>
</head>
<body>
${body}
<script>${client.replaceAll("</script", "<\\/script")}</script>
</body>
</html>
`;
}
