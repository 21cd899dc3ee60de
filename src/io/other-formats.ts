/** Recognises data files in formats that cannot be read, and says how to convert them. */
import { extname } from "node:path";
import { rowFormats } from "./row-formats.js";

interface OtherFormat {
  readonly name: string;
  /** Extensions of its files. */
  readonly endings: readonly string[];
  /** Whether a file with this start has the format. */
  begins?(start: string): boolean;
  /** The Python expressions that read it, as the values of x and target. */
  readonly conversion: string;
}

const savez = 'numpy.savez("data.npz", x=..., target=...)';
const table = (read: string) => `table = ${read}; ${savez}, with columns such as table["label"].to_numpy("int64")`;

const formats: readonly OtherFormat[] = [
  {
    name: "a Parquet file",
    endings: [".parquet"],
    begins: (start) => start.startsWith("PAR1"),
    conversion: table("pandas.read_parquet(path)"),
  },
  {
    name: "an Arrow file",
    endings: [".arrow", ".feather"],
    begins: (start) => start.startsWith("ARROW1") || start.startsWith("FEA1"),
    conversion: table("pandas.read_feather(path)"),
  },
  {
    name: "an HDF5 file",
    endings: [".h5", ".hdf5"],
    begins: (start) => start.startsWith("\x89HDF"),
    conversion: `file = h5py.File(path); ${savez}, with arrays such as file["x"][:]`,
  },
  {
    name: "a file of PyTorch",
    endings: [".pt", ".pth"],
    conversion:
      'safetensors.torch.save_file({"x": ..., "target": ...}, "data.safetensors"), with the tensors of torch.load(path)',
  },
  {
    name: "a pickle",
    endings: [".pkl", ".pickle"],
    // The protocol's number follows.
    begins: (start) => start.startsWith("\x80") && start.charCodeAt(1) >= 2 && start.charCodeAt(1) <= 5,
    conversion: `${savez}, with the arrays of pickle.load`,
  },
  {
    name: "a MATLAB file",
    endings: [".mat"],
    begins: (start) => start.startsWith("MATLAB"),
    conversion: `${savez}, with the arrays of scipy.io.loadmat(path)`,
  },
  { name: "a spreadsheet", endings: [".xlsx", ".xls", ".ods"], conversion: table("pandas.read_excel(path)") },
  {
    name: "JSON lines",
    endings: [".jsonl", ".ndjson"],
    begins: (start) => /^\s*\{.*\}\s*\n\s*\{/s.test(start),
    conversion: table("pandas.read_json(path, lines=True)"),
  },
  {
    name: "JSON",
    endings: [".json"],
    begins: (start) => /^\s*[[{]/.test(start),
    conversion: `held = json.load(open(path)); ${savez}, with arrays such as numpy.array(held["x"], "float32")`,
  },
  {
    name: "a table as text",
    endings: [".csv", ".tsv", ".txt", ".tab"],
    begins: (start) => /^[\t\n\r\x20-\x7e\x80-\xff]+$/.test(start) && /[,;\t]/.test(start),
    conversion: table("pandas.read_csv(path)"),
  },
];

/** Whether these are the first bytes of a safetensors file: the length of its header, then the header. */
function beginsSafetensors(start: string): boolean {
  return /^.{5}\0{3}\{/s.test(start);
}

/**
 * What is wrong with a file of another format, and how to convert it; undefined if the format is unknown.
 * @param start its first bytes, as Latin 1
 */
export function otherFormat(path: string, start: string): string | undefined {
  if (beginsSafetensors(start)) return undefined;
  const ending = extname(path).toLowerCase();
  const zip = start.startsWith("PK");
  const found =
    formats.find(({ endings }) => endings.includes(ending)) ?? formats.find(({ begins }) => !zip && begins?.(start));
  if (!found) return undefined;
  const pack = rowFormats.some((name) => `.${name}` === ending)
    ? `make one of it by pergrad pack ${JSON.stringify(path)} --target COLUMN --out data.safetensors, or `
    : "";
  return `it is ${found.name}, and data is read from .safetensors and .npz files that hold each input by its name, so ${pack}convert it in Python: ${found.conversion}`;
}
