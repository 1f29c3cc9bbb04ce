"""What people take from the page: files of any format, and the same call in other languages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from tests.page.browsers import Visit, visit, write

# What may go wrong in every language.
LINE = 'It\'s "quoted"; $HOME, `x`, \\n: done — übel.'
_FORMATS = {"wav": "wav", "mp3": "mp3", "ogg_opus": "ogg", "flac": "flac"}
_RAW = {"pcm_s16le": "pcm", "pcm_f32le": "f32", "mulaw": "ulaw", "alaw": "alaw"}


def test_a_line_is_downloaded_in_any_format(visitor: Visit, tmp_path: Path) -> None:
    page = visitor.open()
    write(page, "Yes.")
    lengths = {}
    for name, ending in {**_FORMATS, **_RAW}.items():
        page.locator("#format").select_option(name)
        with page.expect_download() as coming:
            page.locator("#download").click()
        assert coming.value.suggested_filename == f"npc-guard.{ending}"
        path = tmp_path / f"line.{ending}"
        coming.value.save_as(path)
        lengths[name] = path.stat().st_size
        if name in _FORMATS:
            assert soundfile.info(path).duration > 0.2
        expect(page.locator("#take-status")).to_contain_text(f"Saved as npc-guard.{ending}")
    assert lengths["mulaw"] == lengths["alaw"]
    assert lengths["pcm_f32le"] == 2 * lengths["pcm_s16le"] == 4 * lengths["alaw"]


def test_a_download_that_fails_says_why(visitor: Visit) -> None:
    page = visitor.open()
    write(page, " ")
    page.locator("#download").click()
    expect(page.locator("#trouble")).to_contain_text("text")
    expect(page.locator("#text")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#download")).to_be_enabled()


def call(page: Page, language: str) -> str:
    page.get_by_role("button", name=language, exact=True).click()
    return page.locator("#code").text_content() or ""


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert soundfile.info(folder / "line.wav").duration > 0.5


def test_the_same_call_runs_elsewhere(visitor: Visit, tmp_path: Path) -> None:
    page = visitor.open()
    write(page, LINE)
    page.locator("#seed").fill("18446744073709551615")
    folders = [tmp_path / name for name in ("curl", "python", "typescript")]
    for folder in folders:
        folder.mkdir()
    (folders[1] / "line.py").write_text(call(page, "Python"))
    run([sys.executable, "line.py"], folders[1])
    typescript = call(page, "TypeScript").replace("response: Response", "response")
    if shutil.which("curl"):
        run(["sh", "-ec", call(page, "curl")], folders[0])
        # The seed makes the very same line.
        assert (folders[0] / "line.wav").read_bytes() == (folders[1] / "line.wav").read_bytes()
    if node := shutil.which("node"):
        (folders[2] / "line.mjs").write_text(typescript)
        run([node, "line.mjs"], folders[2])
        assert (folders[2] / "line.wav").read_bytes() == (folders[1] / "line.wav").read_bytes()


@pytest.mark.parametrize("may_copy", [True, False])
def test_a_call_is_copied_or_selected(browser: Browser, address: str, *, may_copy: bool) -> None:
    permissions = ["clipboard-read", "clipboard-write"] if may_copy else []
    with visit(browser, address, permissions=permissions) as found:
        if not may_copy:
            found.page.add_init_script("delete Navigator.prototype.clipboard")
        page = found.open()
        write(page, LINE)
        code = call(page, "curl")
        page.get_by_role("button", name="Copy").click()
        if may_copy:
            expect(page.locator("#take-status")).to_have_text("Copied the curl call.")
            copied = page.evaluate("() => navigator.clipboard.readText()")
        else:
            expect(page.locator("#take-status")).to_have_text("Selected; copy it.")
            copied = page.evaluate("() => getSelection().toString()")
        assert copied.split() == code.split()
