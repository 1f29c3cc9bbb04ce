// The tab of scenes: voices are prepared ahead, lines are asked for one ahead, and heard in order.

import { tell, voices } from "./api.js";
import { byId } from "./dom.js";
import { milliseconds } from "./format.js";
import { Line } from "./line.js";
import { SceneLine } from "./sceneline.js";
import { Trouble } from "./trouble.js";

/** What the page begins with: who, of the voices that are there, says what. */
const DRAFT = [
  { who: 0, text: "Halt! Who goes there?", line_class: "bark", start_by_ms: 2000 },
  { who: 1, text: "Only a merchant, and two tired mules.", line_class: "dialogue" },
  {
    who: 0,
    text: "The bridge is closed after dark. Orders of the captain.",
    line_class: "dialogue",
  },
  { who: 2, text: "Then let the river decide who may pass tonight.", line_class: "cinematic" },
];
/** Before a cast was heard, nobody knows how long its lines are. */
const MS_A_CHARACTER = 60;
/** How long a line without a deadline waits for a server that has no time for it. */
const PATIENCE_MS = 10_000;

/** @typedef {{isOver: boolean, lines: Line[]}} Show */

/**
 * @param {() => void} hush lets other tabs fall silent
 * @returns {{interrupt: () => boolean}}
 */
export function sceneTab(hush) {
  const rows = /** @type {SceneLine[]} */ ([]);
  const list = byId("scene");
  const trouble = new Trouble(byId("scene-trouble"), byId("panel-scene"));
  const status = byId("scene-status");
  const [play, stop] = [byId("scene-play"), byId("scene-stop")];
  /** @type {Show | null} */
  let show = null;

  /** @param {import("./sceneline.js").Written} written */
  function add(written) {
    const row = new SceneLine(written, move);
    rows.push(row);
    list.append(row.root);
    return row;
  }

  /**
   * @param {SceneLine} row
   * @param {"up" | "down" | "remove"} what
   */
  function move(row, what) {
    const from = rows.indexOf(row);
    rows.splice(from, 1);
    const to = Math.max(0, Math.min(rows.length, from + (what === "up" ? -1 : 1)));
    if (what !== "remove") rows.splice(to, 0, row);
    list.replaceChildren(...rows.map(({ root }) => root));
    const next = what === "remove" ? rows[Math.min(from, rows.length - 1)] : row;
    /** @type {any} */ (
      next?.root.querySelector(`[data-what=${what}]`) ?? byId("scene-add")
    ).focus();
  }

  /** Begin to load the cast, in order of first lines. */
  async function prepare() {
    let dueMs = 0;
    const cast = rows.map(({ request }) => {
      const member = {
        voice: request.voice,
        first_line_ms: Math.min(3_600_000, Math.round(dueMs)),
      };
      dueMs += request.text.length * MS_A_CHARACTER;
      return member;
    });
    const found = await tell("/v1/prepare", { cast, session_id: session });
    for (const row of rows) {
      const id = row.request.voice.split("@")[0];
      const outlook = found.cast.find((/** @type {any} */ one) => one.voice.split("@")[0] === id);
      if (outlook && row.root.dataset.state === "idle") row.prepared(outlook);
    }
    const evicted = found.would_evict.length ? ` It evicts ${found.would_evict.join(", ")}.` : "";
    const after = found.estimated_ms ? `in ${milliseconds(found.estimated_ms)}` : "now";
    status.textContent = found.fits
      ? `The cast fits; all of it is ready ${after}.${evicted}`
      : `The cast does not fit together.${evicted}`;
  }

  async function perform() {
    hush();
    interrupt();
    trouble.clear();
    for (const row of rows) row.settle();
    /** @type {Show} */
    const running = { isOver: false, lines: [] };
    show = running;
    play.disabled = true;
    stop.disabled = false;
    const isPrepared = await trouble.watch(async () => {
      await prepare();
      return true;
    });
    if (isPrepared) await inOrder(running);
    if (show !== running) return;
    running.isOver = true;
    play.disabled = rows.length === 0;
    stop.disabled = true;
    if (isPrepared) status.textContent = "The scene is over.";
  }

  /** @param {Show} running */
  async function inOrder(running) {
    const cast = [...rows];
    let next = cast.length ? ask(cast[0], running) : null;
    for (let place = 0; next && !running.isOver; place++) {
      const { over, whole, play: playNow } = next;
      playNow();
      status.textContent = `Line ${place + 1} of ${cast.length}, ${cast[place].request.voice}.`;
      // One ahead: while a line is heard, the next one is made.
      await whole;
      next = !running.isOver && cast[place + 1] ? ask(cast[place + 1], running) : null;
      await over;
    }
  }

  /**
   * Ask for a line, again and again while the server has no time for it.
   * @param {SceneLine} row
   * @param {Show} running
   */
  function ask(row, running) {
    const whole = Promise.withResolvers();
    const over = Promise.withResolvers();
    const firstAskedMs = performance.now();
    const dueMs = row.request.start_by_ms;
    let mayPlay = false;
    /** @type {Line} */
    let line;

    function end() {
      whole.resolve(null);
      over.resolve(null);
    }

    function begin() {
      const asked = { ...row.request, session_id: session };
      const passedMs = Math.round(performance.now() - firstAskedMs);
      // What the server would refuse stays what it is.
      if (passedMs && typeof dueMs === "number" && dueMs > 0)
        asked.start_by_ms = Math.max(1, dueMs - passedMs);
      line = new Line(asked, [steps, row], { isHeld: !mayPlay });
      running.lines.push(line);
      line.begin();
    }

    /** @param {import("./api.js").ApiError} error */
    function tryAgain(error) {
      const isLate = performance.now() - firstAskedMs > (dueMs ?? PATIENCE_MS);
      if (!error.retryAfterMs || isLate) {
        row.fail(error);
        end();
        return;
      }
      setTimeout(() => {
        if (!running.isOver) {
          begin();
          return;
        }
        row.settle();
        end();
      }, error.retryAfterMs);
    }

    const steps = {
      whole: () => whole.resolve(null),
      ended: end,
      failed: (/** @type {Line} */ _, /** @type {import("./api.js").ApiError} */ error) =>
        tryAgain(error),
    };
    begin();
    const play = () => {
      mayPlay = true;
      line.play();
    };
    return { play, whole: whole.promise, over: over.promise };
  }

  function interrupt() {
    if (!show || show.isOver) return false;
    show.isOver = true;
    for (const line of show.lines) line.interrupt();
    return true;
  }

  const session = `page-${Math.random().toString(36).slice(2)}`;
  byId("scene-add").addEventListener("click", () => {
    const last = rows.at(-1)?.request.voice ?? "";
    add({ voice: last, text: "" }).text.focus();
    play.disabled = false;
  });
  byId("scene-prepare").addEventListener("click", () => {
    for (const row of rows) row.settle();
    trouble.watch(prepare);
  });
  byId("scene-form").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    perform();
  });
  stop.addEventListener("click", interrupt);
  trouble.watch(async () => {
    const { voices: found } = await voices("");
    const able = found.filter(({ problem }) => !problem).map(({ id }) => id);
    for (const { who, ...line } of DRAFT) add({ ...line, voice: able[who % able.length] ?? "" });
  });
  return { interrupt };
}
