/** Short sounds as WAV files: RIFF, PCM of 16 bits, one channel (http://soundfile.sapp.org/doc/WaveFormat/). */

/** @param numbers from -1 to 1; larger ones are clipped, and NaN is silence */
export function wav(numbers: ArrayLike<number>, rate: number): Uint8Array {
  const file = new Uint8Array(44 + 2 * numbers.length);
  const view = new DataView(file.buffer);
  const text = (at: number, word: string) => file.set(new TextEncoder().encode(word), at);
  text(0, "RIFF");
  view.setUint32(4, file.length - 8, true);
  text(8, "WAVEfmt ");
  // 16 bytes of format: PCM, one channel, numbers and bytes per second, bytes and bits per number.
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * numbers.length, true);
  for (let i = 0; i < numbers.length; i++) {
    const value = Math.max(-1, Math.min(1, numbers[i] ?? 0));
    view.setInt16(44 + 2 * i, Number.isNaN(value) ? 0 : Math.round(32767 * value), true);
  }
  return file;
}
