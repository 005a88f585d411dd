"""Sentences that announce a view, or say that there is much to say, and hold none themselves."""

from __future__ import annotations

import re

from overton.spelling import composed

# A first sentence that only says that there is much to say.
_ANNOUNCES = re.compile(
    r"\b(?:(?:is|are|can be|remains?) (?:an? |a very |often |always )?(?:\w{1,20}+(?:,| and|,? yet|,? but)? ){0,4}?"
    r"(?:complex|controversial|contentious|multi-?faceted|nuanced|debated|divisive|sensitive|complicated|challenging|"
    r"polarizing|difficult)\b"
    r"|rais(?:es|ing) (?:\w{1,20}+,? (?:and )?){0,5}?(?:questions?|issues?|concerns?|considerations?|dilemmas?)\b"
    r"|there (?:are|is) (?:\w{1,20}+ ){0,3}?(?:perspectives?|views?|viewpoints?|arguments?|sides|opinions?|factors|"
    r"considerations|reasons|ways to)\b"
    r"|(?:opinions|views|perspectives) (?:\w{1,20}+ ){0,4}?(?:vary|differ|diverge|are divided)\b"
    r"|(?:can|may|could|should) be (?:viewed|seen|approached|considered|examined|analyzed|looked at) from\b"
    r"|here (?:are|is)\b|depends on (?:\w{1,20}+ ){0,3}?(?:factors|circumstances|perspectives?)\b"
    r"|requires? (?:an? )?(?:careful|thoughtful|nuanced) (?:consideration|thought|analysis))",
    re.IGNORECASE,
)
# The same in other languages; in scripts whose vowels are signs of their own a word has no borders to look for.
_ELSEWHERE = re.compile(
    # German
    r"\b(?:ist|bleibt|um) (?:eine? )?(?:[^\W\d_]{1,20}+ ){0,3}?"
    r"(?:komplex|schwierig|umstritten|vielschichtig|heikel|heikl|sensibel|sensibl|kontrovers)\w{0,3}\b"
    r"|\b(?:es gibt|gibt es) (?:[^\W\d_]{1,20}+ ){0,3}?"
    r"(?:perspektiven|sichtweisen|standpunkte|ansichten|meinungen|antwort)\b"
    r"|\bmeinungen (?:[^\W\d_]{1,20}+ ){0,3}?(?:auseinander|geteilt)\b"
    r"|\blässt sich nicht (?:pauschal|einfach|eindeutig|leicht)\b|\bkommt (?:ganz |immer )?darauf an\b"
    # French
    r"|\b(?:est|reste|d['’]une?) (?:[^\W\d_]{1,20}+ ){0,4}?(?:complexe|délicate?|controversée?|difficile de)\b"
    r"|\bsoulève (?:[^\W\d_]{1,20}+ ){0,4}?(?:questions?|enjeux|dilemmes?)\b|\bvoici\b"
    r"|\bil (?:existe|y a|n['’]y a pas|n['’]existe pas) "
    r"(?:[^\W\d_]{1,20}+ ){0,3}?(?:perspectives|points de vue|réponse)\b"
    r"|\btout dépend\b|\b(?:avis|opinions) (?:[^\W\d_]{1,20}+ ){0,2}?(?:divergent|diffèrent|partagée?s)\b"
    # Spanish
    r"|\b(?:es|resulta|de) (?:una? )?(?:[^\W\d_]{1,20}+ ){0,4}?"
    r"(?:complej[ao]|delicad[ao]|controvertid[ao]|polémic[ao])\b"
    r"|\bno es (?:nada )?fácil\b|\bplantea (?:[^\W\d_]{1,20}+ ){0,4}?(?:cuestiones|preguntas|dilemas)\b"
    r"|\b(?:hay|existen?) (?:[^\W\d_]{1,20}+ ){0,3}?(?:perspectivas|puntos de vista|respuesta|opiniones|posturas)\b"
    r"|\bopiniones (?:[^\W\d_]{1,20}+ ){0,3}?(?:diversas|divididas|difieren|varían)\b"
    r"|\btodo depende\b|\ba continuación\b"
    # Chinese
    r"|复杂的[^，。]{0,6}(?:问题|议题|话题)|没有(?:标准|统一|简单|唯一|绝对)的?(?:标准)?答案"
    r"|从(?:以下|多个|几个|不同)[^，。]{0,6}(?:角度|方面|立场|层面)|(?:有|持)(?:着)?不同的?(?:看法|观点|意见)"
    r"|(?:以下|下面)(?:是|从|将|列)|分[^，。]{1,4}方面|(?:看法|意见|观点)(?:差异|不一|各异|分歧)"
    # Japanese
    r"|(?:決まった|簡単な|唯一の|一つの)答え|(?:さまざま|様々)な(?:視点|意見|立場|観点)|いくつかの(?:視点|意見|立場|観点)"
    r"|複雑な(?:問題|テーマ|課題)|(?:問題|テーマ|課題)は(?:とても|非常に)?(?:複雑|難し)|以下(?:に|の|は)"
    r"|意見[がは](?:大きく)?(?:分かれ|さまざま|様々)"
    # Arabic
    r"|(?:مسألة|قضية|سؤال|موضوع) (?:\S{1,20}+ )?(?:معقد|شائك|حساس|خلافي|صعب)ة?|ليس من السهل|لا توجد إجابة|فيما يلي"
    r"|من (?:عدة|وجهات نظر مختلفة|زوايا)|يتوقف على القيم|(?:تختلف|تتباين) (?:الآراء|وجهات النظر)"
    # Hindi
    r"|(?:जटिल|संवेदनशील|कठिन|विवादास्पद) (?:\S{1,20}+ )?(?:प्रश्न|मुद्दा|विषय|सवाल)|आसान नहीं|(?:कई|अलग-अलग) (?:दृष्टिकोण|पहलू)"
    r"|कोई (?:सरल|एक|आसान) (?:उत्तर|जवाब)|निर्भर (?:है|करता)|राय [^।]{0,12}?(?:अलग|भिन्न|बँटी)",
    re.IGNORECASE,
)
_REACH = 600  # characters of a sentence that are searched for it


def announces(text: str, start: int, end: int) -> bool:
    """Whether a sentence only announces what follows."""
    if text[end - 1 : end] in (":", "："):
        return True
    said = composed(text[start : min(end, start + _REACH)])
    return bool(_ANNOUNCES.search(said) or _ELSEWHERE.search(said))
