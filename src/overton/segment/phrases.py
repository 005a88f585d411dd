"""Words and phrases that sentences and sections begin with, in several languages. Data only.

A line break or ``|`` separates two phrases; all are lower case. Those of scripts without spaces stand apart, since no
space tells where such a word ends.
"""

from __future__ import annotations

import re

# It goes on with what was said.
CONTINUES = """
this|that|these|those|it|its|they|their|them|such|so|as such|thus|hence|therefore|thereby|consequently|accordingly
as a result|as a consequence|because|since|for example|for instance|e.g|for this reason|for these reasons
in other words|that is|i.e|namely|in fact|indeed|specifically|in particular|particularly|especially|in this way
in these ways|in this case|in such cases|in these cases|in this sense|in this context|in this regard|in this view
in that case|under this view|on this view|from this perspective|from this viewpoint|from this standpoint
from this point of view|from that perspective|by doing so|doing so|in doing so|to do so|then|otherwise|instead|rather
likewise|similarly|after all|above all|and|or|which|here|there|similarly|in turn|of course|even so
dies|diese|dieser|dieses|das|dadurch|dabei|dazu|damit|es|denn|daher|deshalb|deswegen|folglich|somit|zum beispiel
beispielsweise|etwa|also|nämlich|insbesondere|und
cela|ceci|ce|cette|ces|il|elle|ils|elles|par exemple|donc|ainsi|en effet|c'est|par conséquent|notamment
esto|eso|esta|este|estos|estas|ello|por ejemplo|por lo tanto|por tanto|así|porque|de hecho|por eso|es decir
isso|isto|esse|essa|este|por exemplo|portanto|assim|pois|de fato
questo|questa|ciò|quindi|perciò|ad esempio|per esempio|infatti|perché|così
dit|dat|deze|daarom|bijvoorbeeld|want|dus
это|этот|эта|эти|он|она|они|поэтому|например|потому что|так|следовательно|ведь
bu|böylece|örneğin|çünkü|bu nedenle|dlatego|na przykład|ponieważ
هذا|هذه|ذلك|لأن|لذلك|على سبيل المثال|مثلا|وبالتالي|فهو|فهي|وهذا|وهذه
यह|ये|इससे|इसलिए|क्योंकि|उदाहरण के लिए|वह|वे|इसका|अतः
"""
CONTINUES_UNSPACED = (
    "这|因此|例如|比如|因为|所以|它|他们|由此|也就是说|これ|それ|その|たとえば|例えば|そのため|したがって"
    "|なぜなら|だから|이는|이것|이러한|이런|예를 들어|따라서|그래서|왜냐하면|그것"
)

# It adds something, perhaps to the same view.
ADDS = """
moreover|furthermore|additionally|in addition|besides|also|further|what is more|equally|beyond this|on top of that
außerdem|zudem|darüber hinaus|ferner|auch|hinzu kommt|de plus|en outre|par ailleurs|aussi|además|asimismo|también
além disso
também|inoltre|anche|bovendien|ook|кроме того|также|ayrıca|ponadto|كما|بالإضافة إلى ذلك|इसके अलावा|साथ ही
"""
ADDS_UNSPACED = "此外|另外|而且|同时|也|再者|また|さらに|加えて|또한|게다가"

# It turns to another side.
TURNS = """
however|on the other hand|on the one hand|on one hand|at the same time|conversely|in contrast|by contrast|yet|but
nevertheless|nonetheless|still|alternatively|meanwhile|despite|in spite of|although|though|even though|while|whereas
on the contrary|contrary to|unlike|regardless
jedoch|allerdings|andererseits|einerseits|dagegen|hingegen|aber|dennoch|trotzdem|doch|obwohl|während|im gegensatz
cependant|toutefois|néanmoins|pourtant|mais|d'autre part|d'un autre côté|d'un côté|d'une part|en revanche|au contraire
sin embargo|no obstante|por otro lado|por otra parte|por un lado|pero|en cambio|aunque|mientras que|al contrario
no entanto|por outro lado|por um lado|porém|mas|contudo|todavia|embora|enquanto|ao contrário
tuttavia|d'altra parte|d'altro canto|da un lato|però|ma|invece|mentre|al contrario
echter|anderzijds|enerzijds|daarentegen|maar|toch|hoewel
однако|но|с другой стороны|с одной стороны|напротив|тем не менее|хотя|ancak|öte yandan|fakat|bir yandan
jednak|z drugiej strony|z jednej strony|ale|لكن|ولكن|من ناحية أخرى|من جهة أخرى|من ناحية|من جهة|بالمقابل|ومع ذلك
हालाँकि|हालांकि|लेकिन|परंतु|परन्तु|दूसरी ओर|एक ओर|इसके विपरीत|फिर भी
"""
TURNS_UNSPACED = (
    "然而|但是|但|不过|另一方面|一方面|相反|尽管|虽然|しかし|一方|他方|反対に|けれども|ただし|하지만|그러나"
    "|반면|한편|반대로"
)

# It names a view; adverbs of a field and "From a LABEL perspective" are patterns in cues.py.
NAMES = """
the perspective of|the viewpoint of|the standpoint of|the view of|the argument for|the argument against
the case for|the case against|the argument of|aus sicht|aus der sicht|aus der perspektive
du point de vue|d'un point de vue|desde el punto de vista|desde la perspectiva|desde una perspectiva
desde la óptica|desde una óptica|sur le plan
do ponto de vista|da perspectiva de|sob a perspectiva|dal punto di vista|vanuit het perspectief|vanuit het oogpunt
с точки зрения|z perspektywy|z punktu widzenia|من منظور|من وجهة نظر
"""
NAMES_UNSPACED = "从"

# It says who holds a view, or counts.
OPENS = """
some|others|other people|another|many people|many argue|many believe|many would|many say|many see|many feel
many think|many consider|most people|most would|several people|certain people|a few people|few people|one view
one argument|one reason|one concern|one perspective|one consideration|one side|no one|not everyone|critics|opponents
proponents|supporters|advocates|skeptics|sceptics|defenders|detractors|utilitarians|libertarians|feminists|for some
for others|for many|for those|for people|to some|to others|those who|people who|anyone who|as for|when it comes to
in terms of|with regard to|with respect to|regarding|concerning|in the context of|in the realm of|in a broader sense
in my view|in my opinion|i think|i believe|personally
first|firstly|second|secondly|third|thirdly|fourth|fourthly|fifth|fifthly|sixth|sixthly|seventh|lastly|finally|next
to begin with|first of all|last but not least|the first|the second|the third|the last|a second|a third|a final
it is also important|it's also important|it is equally important|it is important|it's important|it is crucial
it's crucial|it is essential|it's essential|it is also|it's also
einige|manche|andere|wieder andere|wiederum andere|viele|kritiker|befürworter|gegner|erstens|zweitens|drittens
viertens|schließlich|zunächst
certains|certaines|d'autres|beaucoup|plusieurs|les critiques|les partisans|les opposants|premièrement|deuxièmement
troisièmement|d'abord|ensuite|enfin
algunos|algunas|otros|otras|muchos|muchas|hay quienes|hay quien|los críticos|los defensores|los opositores
los partidarios|los detractores|primero|en primer lugar
en segundo lugar|en tercer lugar|segundo|tercero|por último|finalmente
alguns|algumas|outros|outras|muitos|críticos|defensores|em primeiro lugar|em segundo lugar|primeiro|por fim
alcuni|alcune|altri|altre|molti|i critici|i sostenitori|in primo luogo|in secondo luogo|infine
sommigen|anderen|velen|critici|voorstanders|tegenstanders|ten eerste|ten tweede|ten derde|tot slot
некоторые|другие|многие|критики|сторонники|противники|одни|во-первых|во-вторых|в-третьих|наконец
bazıları|diğerleri|birçok|eleştirmenler|ilk olarak|ikinci olarak|niektórzy|inni|wielu|krytycy|po pierwsze|po drugie
البعض|بعض|آخرون|يرى|يعتقد|يقول|يشير|يؤكد|يجادل|يرد|المنتقدون|المؤيدون|المعارضون|هناك من|أما|أولا|أولاً|ثانيا|ثانياً
ثالثا|ثالثاً|أخيرا|أخيراً
कुछ|अन्य|दूसरे|बहुत|कई|आलोचक|समर्थक|विरोधी|पहला|दूसरा|तीसरा|सबसे पहले
"""
OPENS_UNSPACED = (
    "有人|也有人|还有人|有些|一些人|另一些|还有一些|其他人|许多人|很多人|反对|支持|赞成|批评|首先|其次|再次"
    "|第一|第二|第三|最后|对于"
    "|一部の|ある人|他の人|多くの|批判|反対|賛成|第一に|第二に|第三に|まず|次に|最後に|어떤|일부|다른 사람"
    "|많은|비판|반대|지지|첫째|둘째|셋째|먼저|마지막으로"
)

# It sums up.
CLOSES = """
in conclusion|to conclude|in summary|to sum up|to summarize|to summarise|summing up|in sum|in short|all in all
overall|taken together|all things considered|on balance|as we have seen|in closing|conclusion|summary
each of these perspectives|these perspectives|these viewpoints|these views|each of these views|by considering these
each perspective|all of these perspectives|all these perspectives|i hope this|let me know|feel free|if you'd like
if you would like|remember that these
zusammenfassend|abschließend|alles in allem|fazit|insgesamt|kurz gesagt|kurzum|unterm strich|ich hoffe dass
ich hoffe das
lass mich wissen|lassen sie mich wissen|sag bescheid|möchtest du|möchten sie|wenn du möchtest|wenn sie möchten
en conclusion|pour conclure|en résumé|en somme|pour résumer|au fond|bref|en bref|tout compte fait|j'espère que
dites-moi|n'hésitez pas|souhaitez-vous|si vous le souhaitez
en conclusión|en resumen|para concluir|en suma|en síntesis|en pocas palabras|al fin y al cabo|a fin de cuentas
espero que|avísame|si quieres|si lo deseas|te gustaría|em conclusão|em resumo|em suma|para concluir|concluindo
in conclusione|in sintesi|in sostanza|riassumendo|complessivamente|samenvattend|concluderend|kortom|al met al
в заключение|подводя итог|в целом|таким образом|sonuç olarak|özetle|podsumowując|reasumując
في الختام|ختاما|ختامًا|باختصار|خلاصة القول|في النهاية|بشكل عام|آمل أن|هل تود|هل ترغب|إذا كنت ترغب|إذا أردت
إذا كنت تريد|أخبرني
निष्कर्ष|निष्कर्षतः|संक्षेप में|कुल मिलाकर|आशा है|क्या आप चाहेंगे|क्या आप चाहते|यदि आप चाहें
"""
CLOSES_UNSPACED = (
    "总之|总的来说|总而言之|综上所述|综上|总体而言|总体来说|综合来看|综合考虑|简而言之|以上就是|希望这"
    "|希望以上|如果你愿意|如果您愿意"
    "|如果你需要|如果您需要|如果需要|如有需要|需要的话|結論として|総合的に|以上、|以上が|いかがでしょうか"
    "|ご希望であれば|必要であれば|よろしければ|まとめると|要するに|総じて|以上のように|결론적으로"
    "|요약하면|종합하면|전반적으로"
)

# It sums up where it stands near the end.
MAY_CLOSE = """
ultimately|in the end|in the long run|at the end of the day|letztlich|letztendlich|schlussendlich|am ende
finalement|au final|en définitive|en fin de compte|en última instancia|en definitiva|al final|em última análise
no final|in definitiva|in ultima analisi|alla fine|uiteindelijk|в конечном счёте|в конечном счете|в итоге
sonuçta|ostatecznie|في نهاية المطاف|अंततः|अंत में
"""
MAY_CLOSE_UNSPACED = "最终|归根结底|最終的に|結局|결국|궁극적으로"

# Adverbs that name no field, unlike "Legally,".
_NO_FIELD_WORDS = """
accordingly actually additionally admittedly apparently arguably certainly clearly commonly consequently evidently
especially eventually finally firstly fortunately frequently fundamentally generally hopefully importantly
inevitably initially interestingly lastly likely likewise mainly mostly namely naturally notably obviously occasionally
often only originally particularly possibly presumably previously primarily probably really recently reportedly secondly
similarly simply specifically subsequently supposedly surely surprisingly thirdly traditionally truly typically
ultimately undeniably undoubtedly unfortunately usually
"""
NO_FIELD = frozenset(_NO_FIELD_WORDS.split())

# Names of sections that hold no view of their own ...
ASIDE = re.compile(
    r"(?:the )?(?:introduction|intro|overview|background|context|conclusions?|concluding (?:thoughts|remarks)|summary|"
    r"final (?:thoughts?|remarks?|note)|closing (?:thoughts|remarks)|key takeaways?|takeaways?|bottom line|overall|"
    r"references|sources|in (?:conclusion|summary|short|sum|brief)|to (?:sum up|conclude)|all in all|disclaimer|note|"
    r"abschließende (?:gedanken|bemerkungen)|hinweis|"
    r"einleitung|einführung|fazit|zusammenfassung|"
    r"schluss(?:folgerung)?|résumé|en résumé|bilan|réflexions? finales?|introducción|conclusi[óo]n(?:es)?|resumen|"
    r"en resumen|reflexi[óo]n(?:es)? final(?:es)?|introdução|conclusão|resumo|"
    r"introduzione|conclusion[ei]|riassunto|введение|заключение|вывод[ы]?|итог|inleiding|conclusie|samenvatting|"
    r"giriş|sonuç|مقدمة|الخاتمة|خاتمة|خلاصة|الخلاصة|خلاصة القول|ملاحظة|परिचय|निष्कर्ष|सारांश|引言|介绍|前言|背景|"
    r"结论|总结|结语|小结|综合(?:分析|评价|来看)|"
    r"はじめに|まとめ|結論|総括|おわりに|서론|결론|요약)",
    re.IGNORECASE,
)
# ... and of sections that hold several.
SIDES = re.compile(
    r"(?:key |main |some |possible |potential |the )?"
    r"(?:(?:arguments?|reasons?|points?|perspectives?|views?|case|considerations) "
    r"(?:in favou?r(?: of)?|for|against|supporting|opposing)\b.*|"
    r"(?:arguments?|perspectives?|viewpoints|considerations)"
    r"|pros?|cons?|pros and cons|for|against|in favou?r|yes|no|"
    r"(?:dis)?advantages?|benefits?|drawbacks?|risks?|downsides?|upsides?|positives?|negatives?|"
    r"support(?:ing|ive)?(?: (?:arguments?|views?|perspectives?|reasons))?|"
    r"oppos(?:ing|ition|ed?)(?: (?:arguments?|views?|perspectives?|reasons))?|"
    r"(?:some|other|many)(?: people)? (?:support|oppose|argue|believe|say|think|see|might|may|would).*|others .*|"
    r"(?:on the (?:one|other) hand|however|conversely).*|supporters.*|opponents.*|critics.*|proponents.*|"
    r"pro|contra|kontra|dafür|dagegen|(?:argumente|gründe) (?:dafür|dagegen|für .*|gegen .*)|"
    r"(?:pro|contra|kontra)-argumente|"
    r"(?:was )?(?:dafür|dagegen) spricht|chancen|risiken|vorteile|nachteile|pour|contre|(?:arguments )?en faveur.*|"
    r"(?:arguments|raisons) (?:pour|contre).*|avantages|inconvénients|a favor|en contra|"
    r"(?:argumentos|razones) (?:a favor|en contra).*|"
    r"ventajas|desventajas|contro|vantaggi|svantaggi|за|против|аргументы (?:за|против).*|"
    r"(?:支持|反对|赞成)(?:的|方|者)?(?:观点|理由|论点|论据|意见|看法|一方)?|[正反]方(?:观点|理由|论点)?|优点|"
    r"缺点|好处|坏处|利弊|"
    r"(?:賛成|反対)(?:の|する|派の|側の)?(?:立場|意見|理由|論点|主張)?|賛成派|反対派|メリット|デメリット|찬성|반대|"
    r"(?:ال)?(?:حجج|أسباب) (?:ال)?(?:مؤيدة|معارضة|داعمة|رافضة).*|(?:ال)?(?:مؤيد|معارض)(?:ون|ين)?|الإيجابيات|السلبيات|"
    r"(?:पक्ष|विपक्ष|समर्थन|विरोध)(?: में)?(?: .{0,12}?(?:तर्क|विचार|दलीलें|कारण))?|लाभ|हानि|फायदे|नुकसान)",
    re.IGNORECASE,
)
