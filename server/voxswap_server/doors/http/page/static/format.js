// Numbers as people read them.

/**
 * Milliseconds; from ten seconds on in seconds.
 * @param {number | null | undefined} value
 */
export function milliseconds(value) {
  if (value == null || Number.isNaN(value)) return "–";
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 10 ? trimmed(value, 1) : Math.round(value)} ms`;
}

/**
 * A length of audio.
 * @param {number} samples
 * @param {number} rateHertz
 */
export function seconds(samples, rateHertz) {
  return `${(samples / rateHertz).toFixed(2)} s`;
}

/** @param {number} value */
export function bytes(value) {
  if (value < 1 << 20) return `${Math.round(value / 1024)} KiB`;
  if (value < 1 << 30) return `${Math.round(value / (1 << 20))} MiB`;
  return `${(value / (1 << 30)).toFixed(2)} GiB`;
}

/**
 * A number with at most so many digits behind the point, and no zeros at its end.
 * @param {number} value
 * @param {number} digits
 */
export function trimmed(value, digits) {
  return String(Number(value.toFixed(digits)));
}

/**
 * How long ago a time was, in a word.
 * @param {string | null} time as the server writes it
 */
export function ago(time) {
  if (!time) return "–";
  const past = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (past < 2) return "now";
  if (past < 90) return `${Math.round(past)} s ago`;
  if (past < 5400) return `${Math.round(past / 60)} min ago`;
  return `${Math.round(past / 3600)} h ago`;
}

/** @param {string} time as the server writes it */
export function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour12: false });
}
