"""Mandarin: from text as people write it to pinyin, and to what models of it were trained on."""
