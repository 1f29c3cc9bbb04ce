"""The words that say a feeling, for each language in which it is read off a text.

There are few, and they are sure: what somebody cries out, and what somebody says of themselves. A
text that tells of others' feelings says none. To add a language: a `Lexicon` here, and sentences in
``tests/text/test_feelings.py`` of what it must find, and must not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words of one language, in small letters; several to a line, parted by ``|``.

    ``cries`` may open a clause, ``calls`` must be all of it. A state counts where a clause begins
    with one of ``openers`` or none, then somebody's own self, then ``fillers`` and nothing else.
    A clause with one of ``negators`` in it tells no state. ``spaced`` languages have spaces between
    words.
    """

    cries: Mapping[str, str]
    calls: Mapping[str, str]
    selves: str
    states: Mapping[str, str]
    openers: str
    fillers: str
    negators: str
    spaced: bool = True


_ENGLISH = Lexicon(
    cries={
        "happy": "hooray|hurray|hurrah|yay|woohoo|yippee",
        "sad": "alas|boohoo",
        "fearful": "eek",
        "surprised": "wow|whoa|gosh|omg",
        "disgusted": "ugh|yuck|eww|ew|bleh",
    },
    calls={
        "angry": "damn|damn it|dammit|curse you|how dare you|shut up",
        "fearful": "help|help me|i'm so afraid|don't hurt me|please don't hurt me",
        "surprised": "no way|oh my god|oh my goodness|what on earth|i don't believe it",
        "disgusted": "gross|how disgusting|that's disgusting|disgusting",
        "happy": "how wonderful|that's wonderful|wonderful",
        "sad": "how sad|poor me",
    },
    selves="i am|i'm|i feel|i'm feeling|we are|we're|we feel",
    states={
        "happy": "happy|glad|delighted|thrilled|overjoyed|joyful",
        "sad": "sad|unhappy|miserable|heartbroken|devastated|lonely",
        "angry": "angry|furious|mad at|enraged|outraged|livid",
        "fearful": "afraid of|scared|frightened|terrified",
        "surprised": "surprised|amazed|astonished|stunned",
        "disgusted": "disgusted|sickened|revolted",
    },
    openers="oh|well|and|but|so|yes|now|because|today",
    fillers="so|so very|very|really|just|truly|quite|absolutely|too|utterly",
    negators="not|never|no|hardly|without|nobody|nothing|don't|doesn't|didn't|isn't|aren't|"
    "wasn't|can't|won't|couldn't|wouldn't",
)

_GERMAN = Lexicon(
    cries={
        "happy": "hurra|juhu|juhuu|jippie",
        "sad": "ach je|oje|buhu",
        "surprised": "wow|donnerwetter",
        "disgusted": "igitt|pfui|bäh|iih",
    },
    calls={
        "angry": "verdammt|verdammt noch mal|verflucht|wie kannst du es wagen|halt den mund",
        "fearful": "hilfe|zu hilfe|bitte tu mir nichts|tu mir nichts",
        "surprised": "mein gott|oh mein gott|das gibt es nicht|das gibt's nicht|ist nicht wahr",
        "disgusted": "wie ekelhaft|ekelhaft|widerlich|wie widerlich",
        "happy": "wie schön|wunderbar|wie wunderbar",
        "sad": "wie traurig",
    },
    selves="ich bin|bin ich|ich fühle mich|wir sind|sind wir|ich habe|wir haben|mir ist",
    states={
        "happy": "glücklich|froh|überglücklich|begeistert",
        "sad": "traurig|unglücklich|niedergeschlagen|todtraurig",
        "angry": "wütend|zornig|sauer auf|stinksauer",
        "fearful": "angst|verängstigt|panik",
        "surprised": "überrascht|erstaunt|verblüfft",
        "disgusted": "angeekelt|angewidert",
    },
    openers="oh|ach|ja|und|aber|jetzt|nun|heute|da",
    fillers="so|sehr|wirklich|ganz|total|einfach|aber|ja|solche|große|richtig|unglaublich",
    negators="nicht|nie|niemals|kein|keine|keinen|keiner|ohne|kaum|niemand",
)

_FRENCH = Lexicon(
    cries={
        "happy": "youpi|hourra|chouette",
        "sad": "hélas",
        "surprised": "waouh|ouah",
        "disgusted": "beurk|berk|pouah",
    },
    calls={
        "angry": "zut|merde|bon sang|comment oses-tu|tais-toi",
        "fearful": "au secours|à l'aide|ne me faites pas de mal",
        "surprised": "mon dieu|oh mon dieu|incroyable|c'est incroyable",
        "disgusted": "quelle horreur|dégoûtant|c'est dégoûtant",
        "happy": "quelle joie|quel bonheur|c'est merveilleux",
        "sad": "quelle tristesse|quel malheur",
    },
    selves="je suis|j'ai|je me sens|nous sommes|nous avons|on est",
    states={
        "happy": "heureux|heureuse|content|contente|contents|contentes|ravi|ravie|ravis",
        "sad": "triste|tristes|malheureux|malheureuse|désespéré|désespérée",
        "angry": "en colère|furieux|furieuse|fâché|fâchée|énervé|énervée",
        "fearful": "peur|effrayé|effrayée|terrifié|terrifiée",
        "surprised": "surpris|surprise|étonné|étonnée|stupéfait|stupéfaite",
        "disgusted": "dégoûté|dégoûtée|écœuré|écœurée",
    },
    openers="oh|ah|et|mais|oui|alors|maintenant|aujourd'hui",
    fillers="si|très|tellement|vraiment|trop|tout|toute|extrêmement",
    negators="pas|jamais|plus|ne|n'ai|n'avons|aucun|aucune|sans|ni|personne|rien",
)

_SPANISH = Lexicon(
    cries={
        "happy": "hurra|yupi",
        "sad": "ay de mí",
        "surprised": "guau|caramba",
        "disgusted": "puaj|guácala",
    },
    calls={
        "angry": "maldita sea|maldición|cómo te atreves|cállate",
        "fearful": "socorro|auxilio|ayuda|no me hagas daño",
        "surprised": "dios mío|no me lo puedo creer|increíble|qué sorpresa",
        "disgusted": "qué asco|asqueroso|qué asqueroso",
        "happy": "qué alegría|qué maravilla",
        "sad": "qué pena|qué tristeza",
    },
    selves="estoy|yo estoy|me siento|estamos|nos sentimos|tengo|soy|me da",
    states={
        "happy": "feliz|felices|contento|contenta|contentos|contentas|encantado|encantada",
        "sad": "triste|tristes|desolado|desolada|deprimido|deprimida",
        "angry": "enfadado|enfadada|enojado|enojada|furioso|furiosa",
        "fearful": "miedo|asustado|asustada|aterrado|aterrada|aterrorizado|aterrorizada",
        "surprised": "sorprendido|sorprendida|asombrado|asombrada|atónito|atónita",
        "disgusted": "asco|asqueado|asqueada",
    },
    openers="oh|ay|y|pero|sí|pues|ahora|hoy",
    fillers="muy|tan|realmente|mucho|tanto|tanta|mucha|bastante|de verdad|un poco",
    negators="no|nunca|jamás|ni|sin|tampoco|nada|nadie",
)

_MANDARIN = Lexicon(
    cries={
        "happy": "哈哈|耶",
        "sad": "呜呜|唉",
        "surprised": "哇|哎呀",
        "disgusted": "呸|噫",
    },
    calls={
        "angry": "可恶|该死|混蛋|闭嘴|你怎么敢",
        "fearful": "救命|救命啊|救我|别杀我|别过来",
        "surprised": "天哪|天啊|我的天|我的天哪|真没想到|怎么可能",
        "disgusted": "真恶心|好恶心|恶心",
        "happy": "太好了|好耶|太棒了",
        "sad": "真可怜|太惨了",
    },
    selves="我|我们|咱们",
    states={
        "happy": "高兴|开心|快乐|幸福",
        "sad": "难过|伤心|悲伤|难受",
        "angry": "生气|愤怒|气死了",
        "fearful": "害怕|好怕|恐惧",
        "surprised": "惊讶|吃惊|震惊",
        "disgusted": "恶心|反感",
    },
    openers="啊|哦|唉|但|但是|可是|因为|现在|今天",
    fillers="很|好|非常|真|真的|太|实在|特别|都|感到|觉得|有点|现在|今天",
    negators="不|没|无|别|未",
    spaced=False,
)

#: By the first part of a language's tag.
LEXICONS: Final[Mapping[str, Lexicon]] = MappingProxyType(
    {
        "en": _ENGLISH,
        "de": _GERMAN,
        "fr": _FRENCH,
        "es": _SPANISH,
        "zh": _MANDARIN,
    }
)
