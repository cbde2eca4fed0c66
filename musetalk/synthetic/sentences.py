"""What the synthetic speakers say: English from templates, wide in its phones, and sentences in other languages."""

from __future__ import annotations

from zlib import crc32

import numpy as np

EVERY, TRAIN, HELD_OUT = POOLS = ("every", "train", "held_out")
"""Which sentences and voices may be drawn: all, those to train on, or those that are kept for measuring."""

_WHO = (
    "my mother", "the young boy", "our teacher", "a big puppy", "the pilot", "her father", "the baker",
    "a tall woman",
    "the mayor of the village", "your cousin", "the old fisherman", "a quiet neighbour", "the farmer", "Bob", "Judy",
    "the whole family", "a famous poet", "the shy girl", "everybody", "Vivian", "the tiger", "Mr. Palmer",
    "the judge",
)  # fmt: skip
_DID = (
    "bought", "painted", "found", "dropped", "washed", "measured", "opened", "forgot", "moved", "chose", "fixed",
    "watched", "carried", "mixed", "would love", "enjoyed", "gave away", "never saw", "described", "happily shared",
)  # fmt: skip
_WHAT = (
    "a purple umbrella", "five brown eggs", "the broken chair", "a bowl of soup", "three fresh apples", "the map",
    "a rather heavy box", "some warm bread", "the yellow boat", "a pair of leather gloves", "two cups of coffee",
    "that beautiful picture", "an oyster shell", "the garage door", "a jar of mushrooms", "his favourite vase",
    "the most amazing movie", "a thick woollen scarf", "the azure pool", "a bag of popcorn", "the measuring tape",
)  # fmt: skip
_WHERE = (
    "before breakfast", "by the open window", "at the market", "in the middle of May", "under the bridge",
    "on the way home", "with both hands", "for a few pounds", "near the harbour", "without any help", "last Thursday",
    "above the shop", "after the thunder", "at half past four", "in the bathroom", "behind the barn", "this morning",
)  # fmt: skip
_ADJECTIVES = (
    "calm", "empty", "marvellous", "rough", "wide", "cheap", "blue", "spooky", "foggy", "simple", "vague", "loud",
    "smooth", "warm", "awful", "pretty", "bumpy", "huge", "oily", "thorough", "usual", "bright",
)  # fmt: skip
_THINGS = (
    "the weather", "this river", "that mountain path", "the paper", "your voice", "the new museum", "a bubble",
    "the moon",
    "the apartment", "our plan", "the village", "this job", "the beach", "the fever", "my garden", "the fire",
    "the army",
)  # fmt: skip
_NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "forty", "fifty", "sixty", "seventy-five", "a hundred", "a thousand",
)  # fmt: skip
_SYLLABLES = (
    "ma", "ba", "pa", "va", "fa", "moo", "boo", "poo", "vee", "fee", "bee", "mee", "show", "go", "bow", "why", "how",
    "la", "tah", "see", "sha", "cha", "joy", "row", "you", "wow", "mom", "bob", "pop", "beef", "move", "oomph", "eye",
)  # fmt: skip
_PHRASES = (
    "Yes.", "No.", "Maybe.", "Of course.", "Oh, wow!", "I am here.", "Who are you?", "Well, well.", "Ah!",
    "Thank you very much.",
    "Good morning, everybody.", "See you soon.", "Wait for me!", "Why not?", "Please, come in.",
    "How do you do?", "Mm, perhaps.",
    "Be my guest.", "Move over, please.", "It is fine by me.", "Happy birthday!", "What a pity.",
    "Never mind.", "Bravo!",
)  # fmt: skip
_TEMPLATES = (
    "{who} {did} {what}.",
    "{who} {did} {what} {where}.",
    "{where}, {who} {did} {what}.",
    "Why is {thing} so {adj}?",
    "{thing} was {adj} and {adj2}, but {thing2} was {adj3}.",
    "Did you say {num}, or was it {num2}?",
    "I counted {num}, {num2}, {num3}.",
    "If {thing} is {adj}, we will meet {where}.",
    "How many people think that {who} {did} {what}?",
    "Perhaps {thing} should be more {adj}.",
    "You may put {what} {where}.",
    "Look at {what}! It is {adj}.",
    "{who} {did} {what}, and {who2} {did2} {what2}.",
    "{syl}, {syl2}, {syl3}.",
    "{syl} {syl} {syl2} {syl2} {syl3}.",
    "{phrase}",
)

_OTHERS: dict[str, tuple[str, ...]] = {
    "cmn-latn-pinyin": (
        "jin1 tian1 tian1 qi4 hen3 hao3.", "wo3 men5 yi4 qi3 qu4 gong1 yuan2 ba5.", "ni3 ming2 tian1 you3 kong4 ma5?",
        "ma1 ma5 mai3 le5 mian4 bao1 he2 ping2 guo3.", "qing3 ba3 men2 guan1 shang5.",
        "ta1 pao3 de5 fei1 chang2 kuai4.",
        "wo3 xiang3 he1 yi4 bei1 re4 cha2.", "xiao3 mao1 zai4 fang2 jian1 li3 shui4 jiao4.", "xie4 xie5, zai4 jian4.",
    ),
    "ja": (
        "おはようございます。", "きょうは とても いい てんきですね。",
        "あした いっしょに えいがを みませんか。", "パンと ぶどうを かいました。",
        "まどを あけても いいですか。", "いぬが こうえんで はしっています。",
        "えきまで どのくらい かかりますか。", "ありがとう、また あした。",
    ),
    "es": (
        "Buenos días, ¿cómo está usted?", "Mi madre prepara una sopa de pescado.",
        "El barco blanco vuelve al puerto.",
        "¿Puedes abrir la ventana, por favor?", "Hoy vamos a bailar en la plaza.", "Me gusta mucho el pan caliente.",
        "El perro pequeño duerme debajo de la mesa.", "Nunca he visto un puente tan bonito.",
    ),
    "fr": (
        "Bonjour, comment allez-vous ?", "Mon père a acheté une voiture bleue.",
        "Il fait beau aujourd'hui, n'est-ce pas ?",
        "Nous voulons boire un peu de vin.", "La petite fille mange une pomme.", "Où habitent vos meilleurs amis ?",
        "Je voudrais une baguette, s'il vous plaît.", "Le bateau passe sous le vieux pont.",
    ),
    "de": (
        "Guten Morgen, wie geht es Ihnen?", "Meine Mutter kauft frische Brötchen.",
        "Der kleine Hund schläft unter dem Tisch.",
        "Wir fahren morgen früh nach Hamburg.", "Können Sie bitte das Fenster öffnen?",
        "Das blaue Boot gehört meinem Bruder.",
        "Heute abend spielen wir zusammen Musik.", "Ich möchte eine Tasse Kaffee.",
    ),
    "it": (
        "Buongiorno, come sta?", "Mia madre prepara il pane ogni mattina.", "Il bambino gioca nel giardino.",
        "Vorrei un bicchiere d'acqua, per favore.", "Domani andiamo al mare con gli amici.", "Che bella giornata!",
        "La porta della chiesa è aperta.", "Abbiamo mangiato una pizza buonissima.",
    ),
    "pt-br": (
        "Bom dia, tudo bem com você?", "Minha mãe comprou pão e manteiga.", "O menino brinca na praia.",
        "Você pode abrir a janela, por favor?", "Amanhã vamos viajar para o Porto.", "Eu gosto muito de música.",
        "O barco azul voltou ontem.", "Que bela surpresa!",
    ),
    "ru": (
        "Доброе утро, как ваши дела?", "Моя мама купила свежий хлеб.", "Маленькая собака спит под столом.",
        "Откройте, пожалуйста, окно.", "Завтра мы поедем в большой город.", "Я люблю чёрный чай с лимоном.",
        "Сегодня прекрасная погода.", "Белый пароход плывёт по реке.",
    ),
    "hi": (
        "नमस्ते, आप कैसे हैं?", "मेरी माँ बाज़ार से फल लाई।", "आज मौसम बहुत अच्छा है।", "कृपया खिड़की खोल दीजिए।",
        "छोटा बच्चा बगीचे में खेल रहा है।", "मुझे गरम चाय पसंद है।", "हम कल पहाड़ पर जाएँगे।", "बहुत बहुत धन्यवाद।",
    ),
    "ar": (
        "صَبَاحُ الخَيْرِ، كَيْفَ حَالُكَ؟", "أُمِّي تَشْتَرِي الخُبْزَ.", "الوَلَدُ يَلْعَبُ فِي البَيْتِ.",
        "أُرِيدُ كُوبًا مِنَ الشَّايِ.",
        "البَابُ مَفْتُوحٌ.", "سَوْفَ نُسَافِرُ غَدًا.", "هٰذَا كِتَابٌ جَمِيلٌ.", "شُكْرًا جَزِيلًا.",
    ),
    "ko": (
        "안녕하세요, 만나서 반갑습니다.", "오늘은 날씨가 아주 좋아요.", "어머니가 빵을 사 왔어요.",
        "창문을 열어 주세요.",
        "우리 내일 바다에 갈까요?", "저는 따뜻한 물을 마시고 싶어요.", "강아지가 방에서 자고 있어요.",
        "고맙습니다, 또 봐요.",
    ),
    "tr": (
        "Günaydın, bugün nasılsınız?", "Annem taze ekmek ve peynir aldı.", "Küçük köpek masanın altında uyuyor.",
        "Pencereyi açar mısınız lütfen?", "Yarın birlikte vapura bineceğiz.", "Bir bardak çay içmek istiyorum.",
        "Hava çok güzel, değil mi?", "Mavi balon yavaşça yükseldi.",
    ),
}  # fmt: skip

ENGLISH = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029")
"""Accents of English."""
LANGUAGES: tuple[str, ...] = tuple(_OTHERS)
"""The other languages, by the names of their voices."""


def english_sentence(rng: np.random.Generator) -> str:
    """A sentence from a random template and random words."""
    template = _TEMPLATES[rng.integers(len(_TEMPLATES))]
    words = {
        name: choices[rng.integers(len(choices))]
        for name, choices in (
            ("who", _WHO), ("who2", _WHO), ("did", _DID), ("did2", _DID), ("what", _WHAT), ("what2", _WHAT),
            ("where", _WHERE), ("adj", _ADJECTIVES), ("adj2", _ADJECTIVES), ("adj3", _ADJECTIVES), ("thing", _THINGS),
            ("thing2", _THINGS), ("num", _NUMBERS), ("num2", _NUMBERS), ("num3", _NUMBERS), ("syl", _SYLLABLES),
            ("syl2", _SYLLABLES), ("syl3", _SYLLABLES), ("phrase", _PHRASES),
        )
    }  # fmt: skip
    sentence = template.format(**words)
    return sentence[0].upper() + sentence[1:]


def sentences(language: str, count: int | None = None) -> tuple[str, ...]:
    """Distinct sentences of a language: the fixed ones, or `count` (200 by default) English ones, always the same."""
    if language in _OTHERS:
        return _OTHERS[language][:count]
    rng = np.random.default_rng(0)
    found: dict[str, None] = {}
    while len(found) < (200 if count is None else count):
        found[english_sentence(rng)] = None
    return tuple(found)


def sentence_pool(sentence: str, language: str = "en-us") -> str:
    """TRAIN or HELD_OUT: the pool of a sentence, by a rule that never changes.

    Of every other language the last sentence is held out, and of English one in eight, by the CRC-32 of its text.
    """
    if language in _OTHERS:
        return HELD_OUT if sentence == _OTHERS[language][-1] else TRAIN
    return HELD_OUT if crc32(sentence.encode()) % 8 == 0 else TRAIN


def random_sentence(rng: np.random.Generator, language: str = "en-us", pool: str = EVERY) -> str:
    """A sentence of `language` (one of `LANGUAGES`, or any accent of English) from one of POOLS."""
    if language in _OTHERS:
        choices = tuple(
            sentence for sentence in _OTHERS[language] if pool in (EVERY, sentence_pool(sentence, language))
        )
        return choices[rng.integers(len(choices))]
    while True:
        sentence = english_sentence(rng)
        if pool in (EVERY, sentence_pool(sentence)):
            return sentence
