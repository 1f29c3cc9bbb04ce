"""Stage directions in dialogue: "*sighs*", "(laughs softly)"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

Directions = Literal["drop", "speak"]
"""What becomes of stage directions."""

_VERBS = (
    "applaud|bark|belch|blink|blush|bow|breathe|burp|cackle|cheer|chortle|chuckle|clap|cough|croak"
    "|cry|exhale|frown|gasp|giggle|glare|grimace|grin|groan|growl|grumble|grunt|gulp|hesitate"
    "|hiccup|hiss|howl|hum|inhale|kneel|laugh|moan|mumble|mutter|nod|pant|pause|purr|roar|scoff"
    "|scream|shiver|shout|shrug|shudder|sigh|sing|smile|smirk|snarl|sneer|sneeze|snicker|sniff"
    "|sniffle|snore|snort|sob|squeak|squeal|stammer|stutter|swallow|tremble|wail|wave|weep|wheeze"
    "|whimper|whisper|whistle|wince|wink|yawn|yell"
)
# Of a bare verb it is clear only where nobody would stress it.
_SOUNDS = "sigh|cough|gasp|gulp|yawn|sniff|chuckle|giggle|groan|sob|snort|ahem|hiccup|sneeze|scoff"
_NOUNS = "laughter|applause|silence|music|static|footsteps|cheering|sobbing|coughing|groaning"
_ACTING = (
    rf"(?:{_VERBS})(?:e?s)|(?:cries|claps|shrugs|hums|winks|clears|catches|takes|rolls|shakes)"
    rf"|(?:{_VERBS.replace('e|', '|')})(?:ing)|{_NOUNS}"
)
_MOST_WORDS = 6
_MANNER = (
    r"\w+ly|again|hard|deep|away|back|off|up|down|once|twice"
    r"|(?:in|at|to|with|into|for|from|through|under) \w+(?: \w+){0,2}"
    r"|(?:(?:his|her|their|its|a|the|my) )?(?:deep )?"
    r"(?:throat|breath|eyes|head|fists?|hands?|shoulders|arms?|nose)"
)
_DIRECTION = re.compile(
    rf"(?:\w+ly )?(?:{_ACTING})(?: (?:{_MANNER})){{0,2}}|(?:nervous|soft|loud|canned) (?:{_NOUNS})",
    re.IGNORECASE,
)
_BARE = re.compile(rf"(?:(?:deep|heavy|loud|soft|long|small) )?(?:{_SOUNDS})", re.IGNORECASE)
_MARKED = re.compile(
    r"\*{1,2}(?=[^\W\d_])(?P<starred>[^*\n()\[\]]{2,48}?)[.!…]{0,3}\*{1,2}(?!\w)"
    r"|\((?=[^\W\d_])(?P<bracketed>[^*\n()\[\]]{2,48}?)[.!…]{0,3}\)"
)
_DOER = re.compile(
    r"\b(?:he|she|it|who|that|which|and|never|always|still|one|everybody|everyone|nobody)\s\Z",
    re.IGNORECASE,
)


# After these a bare verb is stressed: "don't make me *laugh*".
_STRESSED = re.compile(
    r"\b(?:he|she|it|who|and|to|a|an|the|don't|not|me|him|us|them|you|i|we|they|will|can|must|would"
    r"|could|should|his|my|your|our|their|of|no)\s\Z",
    re.IGNORECASE,
)


def directions(text: str) -> Iterator[tuple[int, int]]:
    """Spans of ``text`` that are acted and not said, with their marks. Takes linear time."""
    if "*" not in text and "(" not in text:
        return
    for match in _MARKED.finditer(text):
        words = match["starred"] or match["bracketed"]
        front = text[max(0, match.start() - 16) : match.start()]
        if _BARE.fullmatch(words):
            said = bool(_STRESSED.search(front)) and bool(match["starred"])
        else:
            said = not _DIRECTION.fullmatch(words) or bool(_DOER.search(front))
        if not said and len(words.split()) <= _MOST_WORDS:
            yield match.span()
