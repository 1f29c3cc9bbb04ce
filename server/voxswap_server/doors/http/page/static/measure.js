// What the page measures of itself: tests and benchmarks read `window.voxswap`.

/**
 * `firstAudioMs`: from asking to the first bytes; `heardMs`: from the press of a key or button to
 * the first sample out of the loudspeaker; `played`: of the line that ended last; `longestTaskMs`:
 * the main thread's, 0 where the browser does not tell.
 */
const measured = {
  /** @type {number | null} */
  firstAudioMs: null,
  /** @type {number | null} */
  heardMs: null,
  played: { samples: 0, rms: 0, peak: 0 },
  longestTaskMs: 0,
};

/** @param {Partial<typeof measured>} found */
export function note(found) {
  Object.assign(measured, found);
}

/** Begin to watch the main thread. */
export function watch() {
  /** @type {any} */ (window).voxswap = measured;
  if (!PerformanceObserver.supportedEntryTypes?.includes("longtask")) return;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      measured.longestTaskMs = Math.max(measured.longestTaskMs, duration);
    }
  }).observe({ type: "longtask", buffered: true });
}
