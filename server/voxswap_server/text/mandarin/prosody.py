"""Prosodic words: what is said in one go, which is often more than a word of the dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from voxswap_server.text.mandarin.tables import names
from voxswap_server.text.mandarin.words import HanWord

# Said with the word before them, and with the one after.
_LEANING_BACK: Final = names(
    "的 地 得 了 着 过 吗 吧 呢 啊 呀 嘛 啦 哇 们 里 上 下 中 内 外 前 后 边 个 只 本 条 张 把 "
    "件 位 名 次 遍 天 年 月 日 点 分 岁 块 元 米 来 去 起来 出来 下去 儿 给 到 在 成 完 好 住 见 "
    "一下 的话 似的"
)
_LEANING_ON: Final = names(
    "不 没 很 太 最 更 都 也 就 又 再 还 在 把 被 给 对 从 向 往 和 跟 与 是 有 这 那 我 你 他 她 "
    "它 您 一 两 几 每 各 别 要 会 能 想 可 该 只 才 刚 已 将 正 请 让 叫 使 为 用 以 到 所 第 小 "
    "大 老 新 好 真 多 少"
)
_MOST: Final = 4  # syllables of a prosodic word that is made of several


def prosodic_words(text: str, words: Sequence[HanWord]) -> Iterator[list[HanWord]]:
    """``words`` of ``text`` in groups that are said in one go; what parts them ends a group."""
    group: list[HanWord] = []
    for word in words:
        if group and not _joins(text, group, word):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _joins(text: str, group: Sequence[HanWord], word: HanWord) -> bool:
    before, this = group[-1], text[word.start : word.end]
    if before.end != word.start:
        return False
    length = word.end - group[0].start
    if length > _MOST:
        return False
    if this in _LEANING_BACK:
        return True
    last = text[before.start : before.end]
    return last in _LEANING_ON and length <= _MOST - 1 and len(group) == 1
