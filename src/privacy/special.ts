/** Special functions of the normal distribution, accurate in their tails. */
import erfc from "@stdlib/math-base-special-erfc";
import erfcx from "@stdlib/math-base-special-erfcx";

/** The probability that a standard normal variable is below x, with a small relative error in both tails. */
export function normalCdf(x: number): number {
  return erfc(-x * Math.SQRT1_2) / 2;
}

/** The logarithm of erfc(x), even if erfc(x) itself underflows. */
export function logErfc(x: number): number {
  return x < 1 ? Math.log(erfc(x)) : Math.log(erfcx(x)) - x * x;
}

/** Mills' ratio: the probability that a standard normal variable is above x, divided by the density at x. */
function mills(x: number): number {
  return Math.sqrt(Math.PI / 2) * erfcx(x * Math.SQRT1_2);
}

/**
 * The smallest delta for which releasing a number of sensitivity 1 with Gaussian noise of standard deviation
 * 1 / mu is (epsilon, delta)-private: Phi(mu / 2 - epsilon / mu) - e^epsilon Phi(-mu / 2 - epsilon / mu)
 * (Balle and Wang 2018, theorem 8).
 */
export function gaussianDelta(mu: number, epsilon: number): number {
  if (mu === 0) return 0;
  const near = epsilon / mu - mu / 2;
  const far = epsilon / mu + mu / 2;
  // Both terms contain the normal density at `near`. Taking it out keeps them in range, however small they are; on the
  // other side of the bell nothing is small, but Mills' ratio is large.
  if (near < 0) return normalCdf(-near) - Math.exp(epsilon + Math.log(erfcx(far * Math.SQRT1_2) / 2) - (far * far) / 2);
  return (Math.exp((-near * near) / 2) / Math.sqrt(2 * Math.PI)) * (mills(near) - mills(far));
}
