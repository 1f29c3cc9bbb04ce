// The memory budget as a bar, one for each device and tier.

import { element, patch } from "./dom.js";
import { bytes } from "./format.js";

/**
 * What a ledger's bytes are for; together they are the budget.
 * @param {import("./types.js").Ledger} ledger
 */
function shares(ledger) {
  const ahead = ledger.workspace_bytes + ledger.for_streams_bytes;
  return [
    ["resident", "Voices", ledger.resident_bytes],
    ["loading", "Loading", Math.max(0, ledger.reserved_bytes - ahead)],
    ["workspace", "Workspace", ledger.workspace_bytes],
    ["streams", "Streams", ledger.for_streams_bytes],
    ["evicting", "Evicting", ledger.evicting_bytes],
    ["free", "Free", ledger.free_bytes],
  ];
}

/**
 * @param {HTMLElement} root
 * @param {import("./types.js").Ledger[]} ledgers
 */
export function drawBudget(root, ledgers) {
  const bars = ledgers.map((ledger) => {
    const { device, tier, budget_bytes: budget } = ledger;
    const found = shares(ledger);
    const told = found.map(([, name, size]) => `${name} ${bytes(Number(size))}`).join(", ");
    const bar = element("div", { class: "bar", role: "img", "aria-label": told });
    for (const [kind, , size] of found) {
      const part = element("span", { class: `part ${kind}` });
      part.style.flexGrow = String(Number(size) / budget);
      bar.append(part);
    }
    const legend = found.map(([kind, name, size]) =>
      element(
        "li",
        {},
        element("span", { class: `swatch ${kind}`, "aria-hidden": "true" }),
        `${name} `,
        element("b", { text: bytes(Number(size)) }),
      ),
    );
    const where = ledgers.length > 1 ? `${device}, ${tier}` : device;
    const title = element("h3", { text: `${bytes(budget)} on ${where}` });
    return element("div", {}, title, bar, element("ul", { class: "legend" }, ...legend));
  });
  patch(root, bars, 1);
}

/**
 * The same in a few words, for the head of the page.
 * @param {HTMLElement} root
 * @param {import("./types.js").Overview} overview
 */
export function drawMeter(root, { ledgers, residents }) {
  const ledger = ledgers[0];
  if (!ledger) return;
  const taken = ledger.budget_bytes - ledger.free_bytes;
  const warm = residents.filter(({ state }) => state === "resident").length;
  const meter = element("span", { class: "meter", "aria-hidden": "true" }, element("span"));
  meter.firstElementChild.style.width = `${(100 * taken) / ledger.budget_bytes}%`;
  const voices = `${warm} voice${warm === 1 ? "" : "s"} in memory`;
  root.replaceChildren(meter, element("span", { text: voices }));
}
