// A fast Fourier transform: radix two, in place, as Cooley and Tukey have it.

/**
 * Makes a function that replaces `real` and `imaginary`, of `size` numbers each, by their transform.
 * @param {number} size a power of two
 */
export function transform(size) {
  const bits = Math.log2(size);
  const reversed = new Uint32Array(size);
  for (let i = 0; i < size; i++) {
    reversed[i] = (reversed[i >> 1] >> 1) | ((i & 1) << (bits - 1));
  }
  const cosines = new Float32Array(size / 2).map((_, i) => Math.cos((2 * Math.PI * i) / size));
  const sines = new Float32Array(size / 2).map((_, i) => -Math.sin((2 * Math.PI * i) / size));

  return (/** @type {Float32Array} */ real, /** @type {Float32Array} */ imaginary) => {
    for (let i = 0; i < size; i++) {
      const j = reversed[i];
      if (j <= i) continue;
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [low, high] = [start + k, start + k + half];
          const [c, s] = [cosines[k * stride], sines[k * stride]];
          const re = real[high] * c - imaginary[high] * s;
          const im = real[high] * s + imaginary[high] * c;
          real[high] = real[low] - re;
          imaginary[high] = imaginary[low] - im;
          real[low] += re;
          imaginary[low] += im;
        }
      }
    }
  };
}
