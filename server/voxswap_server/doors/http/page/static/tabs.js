// Tabs: arrow keys move between them, and the address remembers which one is open.

/**
 * @param {HTMLElement} list of role tablist
 * @param {(name: string) => void} opened is told the name of the panel that is shown
 */
export function tabs(list, opened) {
  const all = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=tab]")]);
  const nameOf = (/** @type {HTMLElement} */ tab) => tab.id.replace("tab-", "");

  /** @param {HTMLElement} chosen */
  function open(chosen) {
    for (const tab of all) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      const panel = document.getElementById(tab.getAttribute("aria-controls") ?? "");
      if (panel) panel.hidden = !isChosen;
    }
    opened(nameOf(chosen));
  }

  list.addEventListener("click", ({ target }) => {
    const tab = target instanceof Element && target.closest("[role=tab]");
    if (tab instanceof HTMLElement) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const here = all.findIndex((tab) => tab.tabIndex === 0);
    const last = all.length - 1;
    const next = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const tab = all[(next + all.length) % all.length];
    tab.focus();
    choose(tab);
  });

  /** @param {HTMLElement} tab */
  function choose(tab) {
    history.replaceState(null, "", `#${nameOf(tab)}`);
    open(tab);
  }

  open(all.find((tab) => `#${nameOf(tab)}` === location.hash) ?? all[0]);
}
