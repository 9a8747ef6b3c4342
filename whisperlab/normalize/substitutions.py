"""A user's own substitutions: names, product words, spellings that both texts shall share.

Owns how words and phrases are found and replaced. It does not know where in a profile this happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whisperlab.normalize.protocol import Rule


def substitute(table: Mapping[str, str]) -> Rule:
    """Returns the rule that replaces whole words and phrases of the normalised text.

    From left to right the longest phrase wins; what was written is not read again. An empty
    replacement drops the phrase. White space becomes single spaces.

    >>> rule = substitute({"e mail": "email", "mail": "post", "uh huh": ""})
    >>> rule.apply("uh huh the e mail is mail")
    'the email is post'
    """
    phrases: dict[tuple[str, ...], str] = {tuple(key.split()): table[key] for key in table}
    phrases.pop((), None)
    lengths: dict[str, list[int]] = {}
    for phrase in sorted(phrases, key=len, reverse=True):
        found = lengths.setdefault(phrase[0], [])
        if len(phrase) not in found:
            found.append(len(phrase))

    def apply(text: str) -> str:
        words = text.split()
        if lengths.keys().isdisjoint(words):
            return text
        return " ".join(_replaced(words, phrases, lengths))

    return Rule("substitutions", apply)


def _replaced(
    words: Sequence[str],
    phrases: Mapping[tuple[str, ...], str],
    lengths: Mapping[str, Sequence[int]],
) -> list[str]:
    written: list[str] = []
    position = 0
    while position < len(words):
        for length in lengths.get(words[position], ()):
            phrase = tuple(words[position : position + length])
            if phrase in phrases:
                written += phrases[phrase].split()
                position += length
                break
        else:
            written.append(words[position])
            position += 1
    return written
