// The list of samples: sorted, filtered and searched.

/** Samples that are added at a time. */
const atOnce = 40;

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

export function number(value) {
  return value === null ? "not finite" : Number(value.toPrecision(3)).toString();
}

export function counted(samples) {
  return `${samples.toLocaleString("en-US")} ${samples === 1 ? "sample" : "samples"}`;
}

export class List {
  constructor(data, { nameOf, className }) {
    Object.assign(this, { data, nameOf, className });
    this.place = document.getElementById("list");
    this.place.classList.toggle("wide", ["text", "table", "sound"].includes(data.show));
    this.controls = this.makeControls();
    document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("more").addEventListener("click", () => this.more());
    this.update();
  }

  makeControls() {
    const form = document.getElementById("controls");
    const select = (name, options) => {
      const made = element("select", { name });
      made.append(...options.map(([value, text]) => element("option", { value, textContent: text })));
      return made;
    };
    const { columns, labels } = this.data;
    const made = {
      sort: select("sort", [...columns.map(({ key, name }) => [key, name]), ["sample", "number"]]),
      order: select("order", [
        ["falling", "highest first"],
        ["rising", "lowest first"],
      ]),
      ...(labels
        ? {
            label: select("label", [
              ["", "all"],
              ...[...new Set(labels)].sort((a, b) => a - b).map((label) => [String(label), this.className(label)]),
            ]),
            kind: select("kind", [
              ["", "all"],
              ["right", "as labelled"],
              ["wrong", "otherwise"],
            ]),
          }
        : {}),
      search: element("input", { name: "search", type: "search", autocomplete: "off" }),
    };
    const names = { sort: "Sort by", order: "Order", label: "Label", kind: "Predicted", search: "Search" };
    for (const [key, control] of Object.entries(made)) {
      form.append(element("label", {}, names[key], control));
      control.addEventListener("input", () => this.update());
    }
    return made;
  }

  /** The samples that the controls ask for, in their order. */
  selected() {
    const { data, controls } = this;
    const text = controls.search.value.trim().toLowerCase();
    const label = controls.label?.value ?? "";
    const kind = controls.kind?.value ?? "";
    const found = [];
    for (let n = 0; n < data.samples; n++) {
      if (label !== "" && String(data.labels[n]) !== label) continue;
      if (kind !== "" && this.kindOf(n) !== kind) continue;
      if (text !== "" && !this.textOf(n).includes(text)) continue;
      found.push(n);
    }
    const values = data.columns.find(({ key }) => key === controls.sort.value)?.values;
    const sign = controls.order.value === "rising" ? 1 : -1;
    const of = values ? (n) => values[n] ?? Number.POSITIVE_INFINITY : (n) => n;
    return found.sort((a, b) => sign * (of(a) - of(b)) || a - b);
  }

  /** "right" or "wrong"; null without a label. */
  kindOf(n) {
    const { labels, predictions } = this.data;
    return labels[n] < 0 ? null : labels[n] === predictions[n] ? "right" : "wrong";
  }

  textOf(n) {
    const own = ["image", "sound"].includes(this.data.show) ? "" : (this.data.shown[n] ?? "");
    return `${this.nameOf(n)} ${n} ${own}`.toLowerCase();
  }

  update() {
    this.order = this.selected();
    this.count = 0;
    this.place.replaceChildren();
    this.more();
  }

  more() {
    const next = this.order.slice(this.count, this.count + atOnce);
    this.place.append(...next.map((n) => this.item(n)));
    this.count += next.length;
    document.getElementById("more").hidden = this.count >= this.order.length;
    document.getElementById("found").textContent =
      `${this.order.length.toLocaleString("en-US")} of ${counted(this.data.samples)}, ${this.count} shown`;
  }

  item(n) {
    const { data } = this;
    const shown = data.shown[n];
    const item = element("li", { id: `sample-${n}` });
    if (shown !== undefined && data.show === "image")
      item.append(element("img", { src: shown, alt: `picture of ${this.nameOf(n)}` }));
    item.append(element("div", { className: "name", textContent: this.nameOf(n) }));
    if (shown !== undefined && data.show === "sound") {
      const player = element("audio", { src: shown, controls: true, preload: "none" });
      player.setAttribute("aria-label", `sound of ${this.nameOf(n)}`);
      item.append(player);
    }
    if (shown !== undefined && (data.show === "text" || data.show === "table")) {
      const text = element("div", { className: "shown", textContent: shown });
      text.tabIndex = 0;
      item.append(text);
    }
    if (data.labels) item.append(this.classesOf(n));
    const numbers = data.columns.map(({ name, values }) => `${name} ${number(values[n])}`);
    item.append(element("div", { className: "numbers", textContent: numbers.join("\n") }));
    return item;
  }

  classesOf(n) {
    const { labels, predictions, suggested } = this.data;
    const line = element("div", {}, `label ${this.className(labels[n])}, `);
    const predicted = `predicted ${this.className(predictions[n])}`;
    line.append(this.kindOf(n) === "wrong" ? element("em", { textContent: predicted }) : predicted);
    if (suggested && suggested[n] !== labels[n])
      line.append(", ", element("em", { textContent: `suggested ${this.className(suggested[n])}` }));
    return line;
  }

  /** Brings a sample into view. */
  choose(n) {
    if (!this.order.includes(n)) this.order = [n, ...this.order];
    let item = document.getElementById(`sample-${n}`);
    if (!item) {
      item = this.item(n);
      this.place.prepend(item);
    }
    for (const other of this.place.querySelectorAll(".chosen")) other.classList.remove("chosen");
    item.classList.add("chosen");
    item.scrollIntoView({ block: "center" });
  }
}
