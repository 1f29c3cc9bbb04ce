// Elements made and found: what a server says becomes text, never markup.

/**
 * The element of that id.
 * @param {string} id
 * @returns {any} an HTMLElement; whoever asks knows of what kind
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * A new element. Properties that begin with `on` are listeners, `text` is its text, the rest are
 * attributes; `true` sets one without a value, `false`, null and undefined leave it out.
 * @param {string} name
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | undefined)} children
 * @returns {any}
 */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "text") made.textContent = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, String(value));
  }
  made.append(...children.filter((child) => child != null).map((child) => child ?? ""));
  return made;
}

/**
 * An element of SVG.
 * @param {string} name
 * @param {Record<string, string | number>} [attributes]
 * @param {...Node} children
 */
export function shape(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/**
 * A badge: a word or two on a tint.
 * @param {string} text
 * @param {"good" | "warn" | "bad" | "plain"} [tint]
 */
export function badge(text, tint = "plain") {
  return element("span", { class: `badge ${tint}`, text });
}

/**
 * Make the children of `root` like `wanted`. Those that are alike stay, down to `depth`: what is
 * drawn every second must not take away what somebody is about to press. A child with a
 * `data-key` stays whatever comes before it; the others are found by their place.
 * @param {Element} root
 * @param {Element[]} wanted
 * @param {number} depth
 */
export function patch(root, wanted, depth) {
  const left = new Set(root.children);
  const kept = wanted.map((child, place) => {
    const key = child.getAttribute("data-key");
    const there = key
      ? [...left].find((one) => one.getAttribute("data-key") === key)
      : root.children[place];
    if (!there || there.tagName !== child.tagName || !left.delete(there)) return child;
    if (there.isEqualNode(child)) return there;
    if (depth <= 1) return child;
    patch(there, [...child.children], depth - 1);
    return there;
  });
  for (const child of [...root.children]) if (!kept.includes(child)) child.remove();
  kept.forEach((child, place) => {
    const there = root.children[place];
    if (there !== child) root.insertBefore(child, there ?? null);
  });
}

/** Whether whoever looks asked for less motion. */
export function wantsLessMotion() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/**
 * `work` as soon as nobody has asked for it again for `delayMs`.
 * @template {any[]} Arguments
 * @param {(...given: Arguments) => void} work
 * @param {number} delayMs
 * @returns {(...given: Arguments) => void}
 */
export function settled(work, delayMs) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), delayMs);
  };
}
