/**
 * Eigenvalues and eigenvectors of diag(d) + rho z z', the form in which a tridiagonal matrix is assembled from its halves
 * (Gu and Eisenstat 1995, "A divide-and-conquer algorithm for the symmetric tridiagonal eigenproblem"; LAPACK's dlaed4).
 */

/** Steps for an eigenvalue: about six are usual, and halving an interval of numbers takes no more. */
const mostSteps = 100;

export interface SecularPairs {
  readonly values: Float64Array;
  /** `[count, count]`: a row for each value. */
  readonly vectors: Float64Array;
}

/**
 * @param d ascending, no two nearly equal
 * @param z none nearly 0
 * @param rho above 0
 */
export function secularPairs(d: Float64Array, z: Float64Array, rho: number): SecularPairs {
  const count = d.length;
  const values = new Float64Array(count);
  // Row k: each element of d less value k, computed from the nearest, so that no digits are lost.
  const gaps = new Float64Array(count * count);
  const squares = z.map((each) => each * each);
  for (let k = 0; k < count; k++) values[k] = root(d, squares, rho, k, gaps.subarray(k * count, (k + 1) * count));
  const own = z.map((each, j) => Math.sign(each) * Math.sqrt(fitting(d, gaps, j) / rho));
  for (let k = 0; k < count; k++) toVector(gaps.subarray(k * count, (k + 1) * count), own);
  return { values, vectors: gaps };
}

/** rho times the square of z_j for which the values are exact: then the vectors are orthogonal. */
function fitting(d: Float64Array, gaps: Float64Array, j: number): number {
  const count = d.length;
  const own = d[j] ?? 0;
  let product = -(gaps[j * count + j] ?? 0);
  for (let k = 0; k < count; k++) if (k !== j) product *= (gaps[k * count + j] ?? 0) / (own - (d[k] ?? 0));
  return Math.abs(product);
}

/** Elements of a vector of norm 1 below this are set to 0: processors are slow with the tiny numbers in their products. */
const negligible = 1e-60;

/** z_j over each gap, with norm 1, in its place. */
function toVector(gaps: Float64Array, z: Float64Array): void {
  let squares = 0;
  for (let j = 0; j < gaps.length; j++) {
    const element = (z[j] ?? 0) / (gaps[j] ?? 0);
    gaps[j] = element;
    squares += element * element;
  }
  const norm = Math.sqrt(squares);
  for (let j = 0; j < gaps.length; j++) {
    const element = (gaps[j] ?? 0) / norm;
    gaps[j] = Math.abs(element) < negligible ? 0 : element;
  }
}

/** f(x) = 1 + rho sum of squares_j / (d_j - x), its derivative by the poles up to one and after it, and how far off f may be. */
interface Evaluated {
  f: number;
  before: number;
  after: number;
  error: number;
}

function evaluate(gaps: Float64Array, squares: Float64Array, rho: number, split: number, at: Evaluated): void {
  let [below, above, before, after] = [0, 0, 0, 0];
  for (let j = 0; j <= split; j++) {
    const gap = gaps[j] ?? 0;
    const term = (squares[j] ?? 0) / gap;
    below += term;
    before += term / gap;
  }
  for (let j = split + 1; j < gaps.length; j++) {
    const gap = gaps[j] ?? 0;
    const term = (squares[j] ?? 0) / gap;
    above += term;
    after += term / gap;
  }
  at.f = 1 + rho * (below + above);
  at.before = rho * before;
  at.after = rho * after;
  at.error = 1 + rho * (Math.abs(below) + Math.abs(above));
}

/** The k-th root, and in `gaps` each pole less it. */
function root(d: Float64Array, squares: Float64Array, rho: number, k: number, gaps: Float64Array): number {
  const count = d.length;
  const last = k === count - 1;
  const own = d[k] ?? 0;
  let total = 0;
  for (const each of squares) total += each;
  const width = last ? rho * total : (d[k + 1] ?? 0) - own;
  const found: Evaluated = { f: 0, before: 0, after: 0, error: 0 };
  for (let j = 0; j < count; j++) gaps[j] = (d[j] ?? 0) - own - width / 2;
  evaluate(gaps, squares, rho, k, found);
  // From the nearer pole; of the last root there is none behind.
  const fromNext = !last && found.f < 0;
  const origin = fromNext ? (d[k + 1] ?? 0) : own;
  let x = fromNext ? -width / 2 : width / 2;
  let low = Math.min(0, x);
  let high = last ? width : Math.max(0, x);
  for (let step = 0; step < mostSteps; step++) {
    for (let j = 0; j < count; j++) gaps[j] = (d[j] ?? 0) - origin - x;
    evaluate(gaps, squares, rho, k, found);
    if (Math.abs(found.f) <= count * Number.EPSILON * found.error) break;
    if (found.f < 0) low = Math.max(low, x);
    else high = Math.min(high, x);
    const next = x + (last ? stepAtEnd(gaps[k] ?? 0, found) : stepBetween(gaps, found, k));
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    x = next > low && next < high ? next : middle;
  }
  return origin + x;
}

/** To the root of what has the same value and derivatives, by two poles: those before and after it (the "middle way" of Li 1994). */
function stepBetween(gaps: Float64Array, { f, before, after }: Evaluated, k: number): number {
  const left = gaps[k] ?? 0;
  const right = gaps[k + 1] ?? 0;
  const a = (left + right) * f - left * right * (before + after);
  const b = left * right * f;
  const c = f - left * before - right * after;
  const inner = Math.sqrt(Math.max(0, a * a - 4 * b * c));
  return a <= 0 ? (a - inner) / (2 * c) : (2 * b) / (a + inner);
}

/** The same by the last pole alone. */
function stepAtEnd(gap: number, { f, before }: Evaluated): number {
  return (gap * f) / (f - gap * before);
}
