/** Renyi differential privacy (Mironov 2017): moments of the privacy loss, which composition adds up. */
import gammaln from "@stdlib/math-base-special-gammaln";
import { composed, type GaussianMechanism, isNotPrivate, type Mechanism, outOfRange } from "../mechanism.js";
import { logErfc } from "../special.js";

/** The orders to try: those close to 1 serve large epsilons, large ones small epsilons. */
const defaultOrders: readonly number[] = [
  1.01,
  1.025,
  1.05,
  ...Array.from({ length: 99 }, (_, k) => 1 + (k + 1) / 10),
  ...Array.from({ length: 54 }, (_, k) => 11 + k),
  ...[72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024],
];

/**
 * The Renyi divergence of `order`, above 1, of all mechanisms together: exact (except for rounding) for whole and
 * fractional orders.
 *
 * @throws PergradError INVALID_ARGUMENT
 */
export function renyiDivergence(mechanisms: readonly Mechanism[], order: number): number {
  checkOrder(order);
  return divergence(composed(mechanisms), order);
}

/**
 * The smallest epsilon that any of the orders proves, and that order, if one is needed. The conversion is that of
 * Canonne, Kamath and Steinke 2020, proposition 12, which equals Balle et al. 2020, theorem 21: epsilon = divergence +
 * log(1 - 1 / order) - log(delta * order) / (order - 1).
 */
export function rdpEpsilon(
  mechanisms: readonly Mechanism[],
  delta: number,
  orders: readonly number[] = defaultOrders,
): { readonly epsilon: number; readonly order?: number } {
  const curve = renyiCurve(composed(mechanisms), orders);
  let best: { epsilon: number; order?: number } = { epsilon: Number.POSITIVE_INFINITY };
  for (const { order, divergence } of curve) {
    if (totalVariation(divergence) <= delta) return { epsilon: 0, order };
    const epsilon = divergence + Math.log1p(-1 / order) - (Math.log(delta) + Math.log(order)) / (order - 1);
    if (epsilon < best.epsilon) best = { epsilon: Math.max(0, epsilon), order };
  }
  return best;
}

/** The smallest delta that any of the orders proves for an epsilon, by the same conversion. */
export function rdpDelta(
  mechanisms: readonly Mechanism[],
  epsilon: number,
  orders: readonly number[] = defaultOrders,
): { readonly delta: number; readonly order?: number } {
  let best: { delta: number; order?: number } = { delta: 1 };
  for (const { order, divergence } of renyiCurve(composed(mechanisms), orders)) {
    const log = (order - 1) * (divergence - epsilon + Math.log1p(-1 / order)) - Math.log(order);
    const delta = Math.min(Math.exp(log), totalVariation(divergence));
    if (delta < best.delta) best = { delta, order };
  }
  return best;
}

/**
 * A bound on delta for epsilon = 0, the total variation distance, by the inequality of Bretagnolle and Huber. A
 * divergence of any order above 1 bounds that of order 1, the Kullback-Leibler divergence.
 */
function totalVariation(divergence: number): number {
  return Math.sqrt(-Math.expm1(-divergence));
}

interface AtOrder {
  readonly order: number;
  readonly divergence: number;
}

function renyiCurve(mechanisms: readonly GaussianMechanism[], orders: readonly number[]): readonly AtOrder[] {
  return orders.map((order) => {
    checkOrder(order);
    return { order, divergence: divergence(mechanisms, order) };
  });
}

function checkOrder(order: number): void {
  if (!(order > 1 && order < Number.POSITIVE_INFINITY)) throw outOfRange("order", order, "a number above 1");
}

const leastDivergence = 2 ** -1022;

function divergence(mechanisms: readonly GaussianMechanism[], order: number): number {
  if (isNotPrivate(mechanisms)) return Number.POSITIVE_INFINITY;
  if (mechanisms.length === 0) return 0;
  const sum = mechanisms.reduce((total, mechanism) => total + mechanism.steps * ofOneStep(mechanism, order), 0);
  // A divergence too small for a float64 is not 0.
  return Math.max(sum, leastDivergence);
}

/**
 * The divergence of (1 - q) N(0, s^2) + q N(1, s^2) from N(0, s^2). The divergence in the other direction is never
 * larger (Mironov, Talwar, Zhang 2019, theorem 5), so this covers both adding and removing a sample.
 */
function ofOneStep({ noiseMultiplier: s, samplingRate: q }: GaussianMechanism, order: number): number {
  // With so little noise, subsampling makes hardly any difference beyond rounding.
  if (q === 1 || s < 1e-4) return order / (2 * s * s);
  if (s > 1e7) return smallMoment(q, s, order) / (order - 1);
  const logMoment = Number.isInteger(order) ? wholeMoment(q, s, order) : fractionalMoment(q, s, order);
  return (logMoment > 1e-12 ? logMoment : smallMoment(q, s, order)) / (order - 1);
}

/**
 * A moment at a fractional order that is lost when 1 + moment is rounded: interpolated from its neighbours of whole
 * order. That is never too small, because the logarithm is convex in the order and 0 at order 1.
 */
function smallMoment(q: number, s: number, order: number): number {
  const least = Math.floor(order);
  const at = (whole: number) => (whole === 1 ? 0 : wholeMoment(q, s, whole));
  return least === order ? at(order) : at(least) + (order - least) * (at(least + 1) - at(least));
}

/**
 * log E[(1 - q + q r)^order], where r is the ratio of the densities, under N(0, s^2): the binomial sum, whose terms are
 * all positive (Mironov, Talwar, Zhang 2019, section 3.3). The sum of the binomial's probabilities, 1, is subtracted,
 * so that tiny divergences are accurate too.
 */
function wholeMoment(q: number, s: number, order: number): number {
  const sum = new LogSum();
  for (let k = 2; k <= order; k++) {
    const exponent = (k * (k - 1)) / (2 * s * s);
    sum.add(logBinomial(order, k) + k * Math.log(q) + (order - k) * Math.log1p(-q) + logExpm1(exponent), 1);
  }
  return log1pExp(sum.log);
}

/**
 * The same for a fractional order. The line of outcomes is cut at z, where both parts of 1 - q + q r are equal, and on
 * each side the power is expanded in the smaller part divided by the larger (ibid.). From index `order` on, the terms
 * alternate in sign and fall.
 */
function fractionalMoment(q: number, s: number, order: number): number {
  const z = s * s * (Math.log1p(-q) - Math.log(q)) + 0.5;
  const part = (small: number, large: number, k: number, mean: number, upTo: number) =>
    k * Math.log(small) + (order - k) * Math.log(large) + (mean * (mean - 1)) / (2 * s * s) - Math.LN2 + logErfc(upTo);
  const below = binomialSeries(order, (k) => part(q, 1 - q, k, k, (k - z) / (Math.SQRT2 * s)));
  const above = binomialSeries(order, (k) => part(1 - q, q, k, order - k, (z - order + k) / (Math.SQRT2 * s)));
  below.add(above.log, 1);
  return below.log;
}

/**
 * The sum over k from 0 of binomial(order, k) e^logTerm(k), for terms that fall from index `order` on, perhaps slowly.
 * They alternate there, so the error of the mean of two neighbouring partial sums is at most the difference of two
 * terms.
 */
function binomialSeries(order: number, logTerm: (k: number) => number): LogSum {
  const sum = new LogSum();
  let logCoefficient = 0;
  let sign = 1;
  let before = 0;
  for (let k = 0; ; k++) {
    const log = logCoefficient + logTerm(k);
    const relative = Math.exp(log - sum.log);
    const isLast = k > order && !(Math.abs(before - relative) >= 1e-16);
    sum.add(log, isLast ? sign / 2 : sign);
    if (isLast) return sum;
    before = relative;
    logCoefficient += Math.log(Math.abs((order - k) / (k + 1)));
    if (k > order) sign = -sign;
  }
}

/** The logarithm of a sum of numbers that are given by their logarithms and factors. */
class LogSum {
  #scale = Number.NEGATIVE_INFINITY;
  #sum = 0;

  add(log: number, factor: number): void {
    if (log === Number.NEGATIVE_INFINITY) return;
    if (log <= this.#scale) {
      this.#sum += factor * Math.exp(log - this.#scale);
      return;
    }
    this.#sum = this.#sum * Math.exp(this.#scale - log) + factor;
    this.#scale = log;
  }

  get log(): number {
    return this.#sum > 0 ? this.#scale + Math.log(this.#sum) : Number.NEGATIVE_INFINITY;
  }
}

function logBinomial(n: number, k: number): number {
  return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1);
}

/** log(e^x - 1) for x above 0. */
function logExpm1(x: number): number {
  return x > 1 ? x + Math.log1p(-Math.exp(-x)) : Math.log(Math.expm1(x));
}

/** log(1 + e^x). */
function log1pExp(x: number): number {
  return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x));
}
