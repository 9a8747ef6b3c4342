"""The languages of Whisper: ISO 639-1 codes (some of three letters) and their English names.

Owns the table and the way from what people write ("German", "de") to a code. It does not know
which of them a checkpoint was trained on.

Source: openai/whisper ``tokenizer.py``, ``LANGUAGES`` and ``TO_LANGUAGE_CODE`` (v20250625).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_TABLE: Final = """
en english|zh chinese|de german|es spanish|ru russian|ko korean|fr french|ja japanese|pt portuguese
tr turkish|pl polish|ca catalan|nl dutch|ar arabic|sv swedish|it italian|id indonesian|hi hindi
fi finnish|vi vietnamese|he hebrew|uk ukrainian|el greek|ms malay|cs czech|ro romanian|da danish
hu hungarian|ta tamil|no norwegian|th thai|ur urdu|hr croatian|bg bulgarian|lt lithuanian|la latin
mi maori|ml malayalam|cy welsh|sk slovak|te telugu|fa persian|lv latvian|bn bengali|sr serbian
az azerbaijani|sl slovenian|kn kannada|et estonian|mk macedonian|br breton|eu basque|is icelandic
hy armenian|ne nepali|mn mongolian|bs bosnian|kk kazakh|sq albanian|sw swahili|gl galician
mr marathi|pa punjabi|si sinhala|km khmer|sn shona|yo yoruba|so somali|af afrikaans|oc occitan
ka georgian|be belarusian|tg tajik|sd sindhi|gu gujarati|am amharic|yi yiddish|lo lao|uz uzbek
fo faroese|ht haitian creole|ps pashto|tk turkmen|nn nynorsk|mt maltese|sa sanskrit
lb luxembourgish|my myanmar|bo tibetan|tl tagalog|mg malagasy|as assamese|tt tatar|haw hawaiian
ln lingala|ha hausa|ba bashkir|jw javanese|su sundanese|yue cantonese
"""

ENGLISH_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    dict(entry.split(" ", 1) for entry in _TABLE.strip().replace("\n", "|").split("|"))
)
"""English name by code, lower case, in Whisper's order."""

_OTHER_NAMES: Final = {
    "burmese": "my",
    "valencian": "ca",
    "flemish": "nl",
    "haitian": "ht",
    "letzeburgesch": "lb",
    "pushto": "ps",
    "panjabi": "pa",
    "moldavian": "ro",
    "moldovan": "ro",
    "sinhalese": "si",
    "castilian": "es",
    "mandarin": "zh",
}

_CODES: Final = {name: code for code, name in ENGLISH_NAMES.items()} | _OTHER_NAMES


def language_code(written: str) -> str | None:
    """Returns the code of a language given by its code or its English name; ``None`` if unknown.

    >>> language_code("German"), language_code("de"), language_code("xx")
    ('de', 'de', None)
    """
    name = written.strip().lower()
    return name if name in ENGLISH_NAMES else _CODES.get(name)
