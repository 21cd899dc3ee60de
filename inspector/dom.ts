/** Elements of the page. */
export function element<E extends HTMLElement>(id: string, type: new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`The page has no ${type.name} "${id}".`);
}

/** A table with a header; the first column names the rows. Where there is little room each row is a list (style.css). */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): HTMLTableElement {
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  for (const heading of headings) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = heading;
    head.append(cell);
  }
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const [k, text] of row.entries()) {
      const cell = line.insertCell();
      cell.textContent = text;
      cell.dataset.heading = headings[k] ?? "";
    }
  }
  // What is laid out as a list stays a table for those who listen to it.
  made.setAttribute("role", "table");
  for (const each of made.querySelectorAll("thead, tbody")) each.setAttribute("role", "rowgroup");
  for (const each of made.querySelectorAll("tr")) each.setAttribute("role", "row");
  for (const each of made.querySelectorAll("th")) each.setAttribute("role", "columnheader");
  for (const each of made.querySelectorAll("td")) each.setAttribute("role", "cell");
  return made;
}

/** A select with a label, of `[value, text]`. */
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

export const number = (value: number) =>
  Number.isFinite(value) ? Number(value.toPrecision(4)).toString() : String(value);
