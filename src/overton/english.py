"""Whether texts are in English, on which the thresholds that come with the package were measured."""

from __future__ import annotations

from overton.segment.masking import STOP_WORDS, WORD

# Function words that are frequent in other languages too, and tell nothing: Danish "for", Polish "to", German "was".
_SHARED_WORDS = """
a all also am an are as at away be can do for get had has he her here i if in is just let like man may me mine much
no not of on once or our over person put so some than to under up us very was we were will
"""
_ENGLISH = STOP_WORDS - frozenset(_SHARED_WORDS.split())
# Frequent words of languages in Latin letters that English has not. Accents and other scripts tell by themselves.
_OTHER_WORDS = """
af als ang auf av aus bei bij bir bisa bu che dalam dan das de deg dei del della der det di dla du een ein eine einen
er es este et ett fra gli hanya har het hij hun ikke il ile ini inte ist itu jag jak je jeg jest ji jika kan kann karena
kwa la las le lei les los maar med mga mig moet na naar ng nicht nie niet och oder og op para pas por que qui sa sei
ska skal som sono sich sie sind sur sy te tem tidak til tot uit um una und uno untuk ve voor vor wanneer wat wenn
wie wir ya yake yang ze zij zijn zu zur
"""
_OTHER = frozenset(_OTHER_WORDS.split())
# Of such a threshold, in a message.
OTHER_LANGUAGES = "in other languages it takes different views for the same far more often"
_FEW = 0.1  # of the words; so many may be names and loan words


def may_be_english(text: str) -> bool:
    """Whether nothing tells that a text is in another language; labels and other short texts may tell nothing."""
    words = [match.group().replace("’", "'") for match in WORD.finditer(text)]
    english = sum(word.lower() in _ENGLISH for word in words)
    # What has a capital may be a name.
    other = sum(not word[0].isupper() and (word in _OTHER or not word.isascii()) for word in words)
    return other <= max(english, _FEW * len(words))
