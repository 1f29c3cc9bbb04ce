/** Marks in seconds, and which of them is due. */

import type { Mark } from "./values.js";

/** A mark in time, in seconds from the beginning of the stream. */
export interface TimedMark extends Mark {
  readonly startS: number;
  readonly endS: number;
}

/** Marks in seconds; the rate is the header's. */
export function inSeconds(marks: readonly Mark[], sampleRateHertz: number): TimedMark[] {
  return marks.map((mark) => ({
    ...mark,
    startS: mark.startSample / sampleRateHertz,
    endS: (mark.startSample + mark.durationSamples) / sampleRateHertz,
  }));
}

/**
 * The last of the marks that has begun at `atS` seconds; `undefined` before the first.
 *
 * Marks must be of one kind and in order. Give it the time of playback, not of arrival: in a
 * browser, `audioContext.currentTime` less the time at which the line began. The last viseme is
 * "sil", so a mouth that follows it is shut after the line.
 */
export function markAt(marks: readonly TimedMark[], atS: number): TimedMark | undefined {
  let low = 0;
  let high = marks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (marks[middle]!.startS <= atS) low = middle + 1;
    else high = middle;
  }
  return marks[low - 1];
}
