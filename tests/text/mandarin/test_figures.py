"""Numbers, dates, money, units and signs in words, and which of them the client wrote where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from voxswap_server.text.mandarin.numerals import cardinal, digits
from voxswap_server.text.mandarin.reader import MandarinReader
from voxswap_server.text.normalization import normalize


def spoken(reader: MandarinReader, text: str) -> str:
    return reader.read(normalize(text, "zh-CN"), english=False).text.text


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("我有3个苹果和5个梨", "我有三个苹果和五个梨"),
        ("我有 2 个", "我有两个"),
        ("2023年5月12日下午3:30", "二零二三年五月十二日下午三点三十分"),
        ("2023-05-12", "二零二三年五月十二日"),
        ("2023/5/12", "二零二三年五月十二日"),
        ("2023.5.12", "二零二三年五月十二日"),
        ("1999-2003", "一九九九到二零零三"),
        ("98年毕业，90后", "九八年毕业，九零后"),
        ("他2点到，2点05分走，2点半回", "他两点到，两点零五分走，两点半回"),
        ("3 PM", "下午三点"),
        ("12:05", "十二点零五分"),
        ("价格是¥12.50元", "价格是十二点五元"),
        ("US$5.50和HK$30", "五点五美元和三十港元"),
        ("¥12.5万", "十二点五万元"),
        ("1,234,567人", "一百二十三万四千五百六十七人"),
        ("增长了12.5%", "增长了百分之十二点五"),
        ("20%-30%", "百分之二十到百分之三十"),
        ("5‰", "千分之五"),
        ("气温-5℃到10℃", "气温负五摄氏度到十摄氏度"),
        ("1/2杯糖，2½杯水", "二分之一杯糖，二又二分之一杯水"),
        ("比分3:2，98:102", "比分三比二，九十八比一百零二"),
        ("他们以3-1取胜", "他们以三比一取胜"),
        ("5-10岁，3-5个，气温12-18度", "五到十岁，三到五个，气温十二到十八度"),
        ("10-8=2", "十减八等于二"),
        ("100km/h", "每小时一百公里"),
        ("120mmHg，100W，3kg", "一百二十毫米汞柱，一百瓦，三千克"),
        ("5cm×10cm", "五厘米乘十厘米"),
        ("第2名，第12章，第1-3章", "第二名，第十二章，第一到三章"),
        ("No.5和#3", "第五和三号"),
        ("GPT-4，COVID-19", "GPT 四，COVID 十九"),
        ("H1N1，A4纸", "H一N一，A四纸"),
        ("G1024次列车", "G幺零二四次列车"),
        ("13800138000", "幺三八零零幺三八零零零"),
        ("+86 138 0013 8000", "加八六幺三八零零幺三八零零零"),
        ("010-62345678", "零幺零六二三四五六七八"),
        ("400-800-1234", "四零零八零零幺二三四"),
        ("验证码是123456", "验证码是幺二三四五六"),
        ("302室，房间1201", "三零二室，房间幺二零幺"),
        ("时间2023-05-12，在线10000人", "时间二零二三年五月十二日，在线一万人"),
        ("5·12地震，9.11事件", "五一二地震，九一一事件"),
        ("v1.2.3", "一点二点三"),
        ("192.168.1.1", "一九二点一六八点一点一"),
        ("www.baidu.com", "www点baidu点com"),
        ("a@b.com", "a艾特b点com"),
        ("12345678901234567890", "一二三四五六七八九零" * 2),
        ("２０２３年，３．５％", "二零二三年，百分之三点五"),
        ("第Ⅲ章，③", "第三章，三"),
        ("1980s", "一九八零年代"),
        ("a&b，a+b，好的~", "a和b，a加b，好的~"),
        ("1+1=2", "一加一等于二"),
        ("二〇二三年", "二零二三年"),
    ],
)
def test_figures_are_read_as_they_are_said(reader: MandarinReader, written: str, said: str) -> None:
    assert spoken(reader, written) == said


def test_a_figure_is_the_word_that_the_client_wrote(reader: MandarinReader) -> None:
    text = reader.read(normalize("我花了¥12.50元，2023年5月3日。", "zh-CN"), english=False).text
    assert [(word.text, text.text[word.start : word.end]) for word in text.words] == [
        ("我花", "我花"),
        ("了", "了"),
        ("¥12.50元", "十二点五元"),
        ("2023年", "二零二三年"),
        ("5月", "五月"),
        ("3日", "三日"),
    ]


FIGURES = "3 20 1999 0 . - : % 年 月 元 ¥ $ kg 第 点 个 A GPT ， / + · ~ 号 电话 ½ Ⅳ ㎡ ٣ ⑳ ² @"
PIECES = st.sampled_from([*FIGURES.split(), " "])


@examples(300)
@given(text=st.lists(PIECES, max_size=14).map("".join))
def test_no_digit_remains_and_words_keep_their_places(reader: MandarinReader, text: str) -> None:
    said = reader.read(normalize(text, "zh-CN"), english=False).text
    assert not any(character.isdigit() and character not in "²³" for character in said.text)
    after = 0
    for word in said.words:
        assert after <= word.source_start < word.source_end <= len(text)
        assert word.text == text[word.source_start : word.source_end]
        after = word.source_end


def test_numbers_are_counted_and_spelled() -> None:
    counted = {
        "0": "零", "10": "十", "11": "十一", "20": "二十", "101": "一百零一", "110": "一百一十",
        "1001": "一千零一", "10010": "一万零一十", "100000000": "一亿", "100000001": "一亿零一",
        "1234567": "一百二十三万四千五百六十七", "007": "七",
        "1234567890123": "一二三四五六七八九零一二三",
    }  # fmt: skip
    assert {number: cardinal(number) for number in counted} == counted
    assert digits("110", telephone=True) == "幺幺零"
