// The tab of operators: the budget, who is in memory, what happens there, and how to steer it.

import { get, tell } from "./api.js";
import { drawBudget } from "./budget.js";
import { badge, byId, element, patch } from "./dom.js";
import { ago, bytes, clock, milliseconds } from "./format.js";
import { Trouble } from "./trouble.js";
import { suggestVoices } from "./suggest.js";

const MOST_EVENTS = 200;
/** While the tab is open: leases come and go without events. */
const LOOK_MS = 1000;
/** @type {Record<string, "good" | "warn" | "bad" | "plain">} */
const TINTS = {
  loaded: "good",
  resident: "good",
  evicted: "warn",
  evicting: "warn",
  load_failed: "bad",
  failed: "bad",
  quarantined: "bad",
  barred: "bad",
};

/**
 * @param {import("./residency.js").Residency} residency
 * @returns {{show: (isOpen: boolean) => void}}
 */
export function memoryTab(residency) {
  const panel = byId("panel-memory");
  const trouble = new Trouble(byId("memory-trouble"), panel);
  const voice = byId("memory-voice");
  const status = byId("memory-status");
  let isOpen = false;
  suggestVoices(voice, byId("memory-voices"));

  residency.onChange((overview) => {
    if (!isOpen) return;
    drawBudget(byId("budget"), overview.ledgers);
    drawResidents(overview.residents);
  });
  residency.onEvent((event) => {
    const log = byId("events");
    log.querySelector("li.note")?.remove();
    log.prepend(eventRow(event));
    while (log.childElementCount > MOST_EVENTS) log.lastElementChild.remove();
  });
  setInterval(() => isOpen && !document.hidden && residency.refresh(), LOOK_MS);

  /**
   * @param {string} what such as pin
   * @param {string} ref
   */
  async function steer(what, ref) {
    status.textContent = `${what} ${ref} …`;
    const done = await trouble.watch(() => tell(`/v1/${what}`, { voice: ref }));
    const freed = done?.freed_bytes ? `, ${bytes(done.freed_bytes)} freed` : "";
    status.textContent = done ? `${what} ${ref}: done${freed}.` : "";
    await residency.refresh();
  }

  async function explain() {
    const found = await trouble.watch(() => get("/v1/explain", { voice: voice.value }));
    byId("explanation").replaceChildren(...(found ? explanation(found) : []));
  }

  /** @param {import("./types.js").Resident[]} residents */
  function drawResidents(residents) {
    const body = byId("residents");
    const focused = document.activeElement?.getAttribute("data-key");
    const rows = residents.map((resident) => residentRow(resident, steer));
    patch(body, rows, 2); // down to cells
    byId("residents-none").hidden = residents.length > 0;
    if (focused && !body.contains(document.activeElement))
      body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  byId("memory-form").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const what = event.submitter?.dataset.what ?? "explain";
    if (what === "explain") explain();
    else steer(what, voice.value);
  });

  return {
    show: (open) => {
      isOpen = open;
      if (open) residency.refresh();
    },
  };
}

/**
 * @param {import("./types.js").Resident} resident
 * @param {(what: string, ref: string) => void} steer
 */
function residentRow(resident, steer) {
  const { voices, state, size_bytes: size, shared_bytes: shared, leases, pinned } = resident;
  const [ref] = voices;
  const button = (/** @type {string} */ title, /** @type {string} */ what) =>
    element("button", {
      ...{ type: "button", class: "small", text: title, "aria-label": `${title} ${ref}` },
      "data-key": `${ref} ${what === "unpin" ? "pin" : what}`,
      onclick: () => steer(what, ref),
    });
  const told = [badge(state, TINTS[state] ?? "plain")];
  if (pinned) told.push(badge("pinned", "plain"));
  if (leases) told.push(badge(`${leases} speaking`, "good"));
  if (resident.waiting) told.push(badge(`${resident.waiting} waiting`, "warn"));
  const cell = (/** @type {string} */ name, /** @type {any[]} */ ...content) =>
    element("td", { "data-name": name }, ...content);
  return element(
    "tr",
    { "data-key": ref },
    element("th", { scope: "row", text: voices.join(", ") }),
    cell("State", element("span", { class: "badges" }, ...told), resident.error || null),
    cell(
      "Size",
      bytes(size),
      shared ? element("small", { text: ` ${bytes(shared)} shared` }) : null,
    ),
    cell("Last use", ago(resident.last_use_time)),
    cell("Uses", String(resident.uses)),
    cell("Load", milliseconds(resident.load_ms)),
    element(
      "td",
      { class: "actions" },
      pinned ? button("Unpin", "unpin") : button("Pin", "pin"),
      button("Unload", "unload"),
    ),
  );
}

/** @param {import("./types.js").ResidencyEvent} event */
function eventRow(event) {
  const { kind, voices, reason, role } = event;
  const about = [
    kind === "evicted" && `its ${role}, for ${reason}`,
    kind === "load_failed" && reason,
    event.duration_ms > 0 && milliseconds(event.duration_ms),
    event.size_bytes > 0 && bytes(event.size_bytes),
  ];
  return element(
    "li",
    { "data-kind": kind },
    element("time", { datetime: event.event_time, text: clock(event.event_time) }),
    badge(kind.replaceAll("_", " "), TINTS[kind] ?? "plain"),
    element("b", { text: voices.join(", ") }),
    element("span", { class: "note", text: about.filter(Boolean).join(" · ") }),
  );
}

/** @param {any} found what `/v1/explain` told */
function explanation(found) {
  const evicted = [...new Set(found.would_evict.flatMap((/** @type {any} */ part) => part.voices))];
  const rows = [
    ["Voice", found.voice],
    ["In memory", found.resident ? "yes" : "no"],
    ["Fits", found.fits ? "yes" : "not now"],
    ["Would evict", evicted.join(", ") || "nobody"],
    ["Takes", found.resident ? "nothing" : `about ${milliseconds(found.estimated_ms)}`],
    ["Needs", bytes(found.need_bytes)],
    ["Parts", found.components.map((/** @type {any} */ c) => `${c.role}: ${c.tier}`).join(", ")],
  ];
  return [
    element("p", { text: found.reason }),
    element(
      "dl",
      { class: "rows" },
      ...rows.map(([name, value]) =>
        element("div", {}, element("dt", { text: name }), element("dd", { text: value })),
      ),
    ),
  ];
}
