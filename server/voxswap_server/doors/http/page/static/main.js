// The page: puts its tabs together.

import { drawMeter } from "./budget.js";
import { byId } from "./dom.js";
import { watch } from "./measure.js";
import { memoryTab } from "./memory.js";
import { wake } from "./player.js";
import { Residency } from "./residency.js";
import { sceneTab } from "./scene.js";
import { speakTab } from "./speak.js";
import { tabs } from "./tabs.js";

watch();
const residency = new Residency();
const speak = speakTab(residency, () => scene.interrupt());
const scene = sceneTab(() => speak.interrupt());
const memory = memoryTab(residency);
residency.onChange((overview) => drawMeter(byId("meter"), overview));
residency.start();
tabs(byId("tabs"), (name) => memory.show(name === "memory"));

for (const touch of ["pointerdown", "keydown"]) {
  document.addEventListener(touch, () => wake(), { passive: true });
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const wasSpeaking = [speak.interrupt(), scene.interrupt()].some(Boolean);
  if (wasSpeaking) event.preventDefault();
});
