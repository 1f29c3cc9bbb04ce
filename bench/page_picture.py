"""Makes the README's picture of the page: a line that is being spoken."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image

from bench.chromium import browsing
from bench.servers import serving
from voxswap_families.embedded import import_embedded
from voxswap_registry.store import Registry

_LINE = (
    "The bridge is closed after dark. Whoever wants to cross tonight must answer me three "
    "questions, and the captain knows every face."
)
# Half of the line is lit there, and the mouth wide open. That is over within a tenth of a second,
# so the page itself looks at each frame.
_MOMENT = """() => new Promise((come) => {
  const look = () => {
    const word = document.querySelector(".word[data-state=now]")?.textContent;
    const shape = document.querySelector("#mouth").dataset.viseme;
    if (word === "tonight" && shape === "aa") come();
    else requestAnimationFrame(look);
  };
  look();
})"""


def main() -> int:
    """Serve the voices that ship in packages, play a line, and take the picture."""
    parser = argparse.ArgumentParser(prog="scripts/picture-page", description=__doc__)
    parser.add_argument("picture", nargs="?", type=Path, default=Path("docs/page.png"))
    picture: Path = parser.parse_args().picture
    with tempfile.TemporaryDirectory(prefix="voxswap-picture-") as name:
        folder = Path(name)
        import_embedded(Registry(folder / "registry"))
        with (
            serving(
                folder / "registry", cache_dir=folder / "cache", http_listen="127.0.0.1:0"
            ) as server,
            browsing() as browser,
        ):
            page = browser.new_page(viewport={"width": 1200, "height": 815})
            page.goto(f"http://{server.http_address}/")
            page.locator("#voices [aria-selected=true]").wait_for()
            page.locator("#text").fill(_LINE)
            for _ in range(2):  # the second time it is warm
                page.locator("#text").press("Enter")
                page.evaluate(_MOMENT)
            page.screenshot(path=picture)
    # A palette of 256 colours is all that it has, and a third of the bytes.
    with Image.open(picture) as image:
        image.convert("RGB").quantize(256).save(picture, optimize=True)
    print(f"{picture}: {picture.stat().st_size >> 10} KiB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
