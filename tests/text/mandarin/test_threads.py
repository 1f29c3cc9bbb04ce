"""One reader for all threads of a process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.text.mandarin.tables import kantts_table, phonemes, tokens
from voxswap_server.speech.reader import read_segment
from voxswap_server.text.mandarin.kantts import KanttsFrontEnd
from voxswap_server.text.mandarin.misaki import MisakiMandarinFrontEnd
from voxswap_server.text.mandarin.reader import MandarinReader, shared_reader

_LINES = [
    f"第{n}行：他还了{n}元，{n % 12 + 1}点走，重{n}公斤，長{n}米，在GPT-{n}里。" for n in range(60)
]


def test_threads_read_what_one_reads(
    reader: MandarinReader, kokoro: MisakiMandarinFrontEnd, sambert: KanttsFrontEnd
) -> None:
    def read(text: str) -> tuple[str, list[str]]:
        said = read_segment(text, "zh-CN", kokoro)[1], read_segment(text, "zh-CN", sambert)[1]
        return phonemes(said[0]), tokens(said[1])

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(read, _LINES))
    assert together == list(map(read, _LINES))
    assert reader is shared_reader()


def test_further_front_ends_share_it(reader: MandarinReader) -> None:
    assert KanttsFrontEnd(kantts_table())._reader is reader
