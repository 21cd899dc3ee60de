/** Creates elements of the page. */
export function element<E extends HTMLElement>(id: string, type: new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`The page has no ${type.name} "${id}".`);
}

/** A table with a header; the first column names the rows. On a narrow page each row is shown as a list (style.css). */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): HTMLTableElement {
  const made = document.createElement("table");
  const isText = headings.map((_, k) => rows.some((row) => /[^\d.,%e+\-\s]/.test(row[k] ?? "")));
  const aligned = (cell: HTMLElement, k: number) => cell.classList.toggle("text", isText[k] ?? false);
  const head = made.createTHead().insertRow();
  for (const [k, heading] of headings.entries()) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = heading;
    aligned(cell, k);
    head.append(cell);
  }
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const [k, text] of row.entries()) {
      const cell = line.insertCell();
      cell.textContent = text;
      cell.dataset.heading = headings[k] ?? "";
      aligned(cell, k);
    }
  }
  // A table that is shown as a list stays a table for screen readers.
  made.setAttribute("role", "table");
  for (const each of made.querySelectorAll("thead, tbody")) each.setAttribute("role", "rowgroup");
  for (const each of made.querySelectorAll("tr")) each.setAttribute("role", "row");
  for (const each of made.querySelectorAll("th")) each.setAttribute("role", "columnheader");
  for (const each of made.querySelectorAll("td")) each.setAttribute("role", "cell");
  return made;
}

/** A select element with a label; options are `[value, text]`. */
export function choice(
  label: string,
  name: string,
  options: readonly (readonly [string, string])[],
  value: string,
): HTMLLabelElement {
  const made = document.createElement("label");
  const select = document.createElement("select");
  select.name = name;
  for (const [each, text] of options) select.add(new Option(text, each, each === value, each === value));
  made.append(label, " ", select);
  return made;
}

export function download(name: string, content: BlobPart, type: string): void {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Four digits, even if the last ones are 0, so that numbers in a column can be compared. */
export function number(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return value.toExponential(3);
  return size < 1e4 ? value.toPrecision(4) : value.toFixed(0);
}

/** A number with its noun. */
export const count = (value: number): string => value.toLocaleString("en-US");
