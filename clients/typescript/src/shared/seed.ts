/** A seed has 64 bits, and a number of JavaScript 53. */

import { invalid } from "./errors.js";

/** @throws InvalidRequestError for what is no whole number from 0 to 2**64 - 1, for sure */
export function wholeSeed(seed: bigint | number): bigint {
  const isSure = typeof seed === "bigint" || Number.isSafeInteger(seed);
  const whole = isSure ? BigInt(seed) : -1n;
  if (whole < 0n || whole >= 2n ** 64n) {
    const range = "0 to 2**64 - 1, a bigint above 2**53";
    throw invalid("seed", `is no whole number from ${range}: ${seed}`);
  }
  return whole;
}
