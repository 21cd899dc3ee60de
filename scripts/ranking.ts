/** Measures how well scores find samples that are known to be wrong. */

/** The area under the ROC curve: the probability that a wrong sample has a higher score than a right one. */
export function areaUnderCurve(scores: ArrayLike<number>, wrong: ReadonlySet<number>): number {
  const ranked = Array.from(scores, (score, n) => ({ score, n })).sort((a, b) => a.score - b.score);
  let [sum, at] = [0, 0];
  while (at < ranked.length) {
    let end = at;
    while (end < ranked.length && ranked[end]?.score === ranked[at]?.score) end++;
    // Equal scores share the mean of their ranks.
    for (const { n } of ranked.slice(at, end)) if (wrong.has(n)) sum += (at + 1 + end) / 2;
    at = end;
  }
  return (sum - (wrong.size * (wrong.size + 1)) / 2) / (wrong.size * (ranked.length - wrong.size));
}

/** The mean, over the wrong samples, of the precision down to each of them. */
export function averagePrecision(scores: ArrayLike<number>, wrong: ReadonlySet<number>): number {
  const ranked = Array.from(scores, (score, n) => ({ score, n })).sort((a, b) => b.score - a.score);
  let [hits, sum] = [0, 0];
  ranked.forEach(({ n }, k) => {
    if (!wrong.has(n)) return;
    hits++;
    sum += hits / (k + 1);
  });
  return sum / wrong.size;
}
