"""In which encoding the names of a zip were written, where the zip does not say so.

Windows writes names in the code page of its language, and the archive does not tell which. Each code page gives
another text. The texts are compared by what spelling allows: one script a word, capitals at the start of words, vowels
between consonants, characters in daily use. Each breach costs points, about as much as it is unlikely (a difference of
1 is a factor of about 3). The text that costs least counts, where it costs little and the others cost clearly more.
"""

import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

# Of Western and Central Europe, Cyrillic, Greek, Turkish, Hebrew, Arabic, Thai; then of East Asia.
CODE_PAGES = (
    "cp437", "cp850", "cp1252", "cp852", "cp1250", "cp866", "cp1251", "cp737", "cp1253", "cp857", "cp1254", "cp862",
    "cp1255", "cp1256", "cp874", "cp932", "gbk", "big5", "cp949",
)  # fmt: skip
# A text that costs more a character is none, and one whose rival costs less than so much more may be the wrong one.
_MOST_A_CHARACTER, _LEAST_LEAD = 1.6, 1.5
_MOST_NAMES = 2000

_WORD = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f\u0591-\u05c7\u064b-\u0652\u0e31-\u0e4e]+[^\W\d_]*)*")
_SCRIPTS = (
    ("latin", 0x0000, 0x024F), ("greek", 0x0370, 0x03FF), ("cyrillic", 0x0400, 0x052F), ("hebrew", 0x0590, 0x05FF),
    ("arabic", 0x0600, 0x06FF), ("thai", 0x0E00, 0x0E7F), ("kana", 0x3040, 0x30FF), ("han", 0x3400, 0x9FFF),
    ("hangul", 0xAC00, 0xD7A3), ("half kana", 0xFF66, 0xFF9F),
)  # fmt: skip
_EAST_ASIAN = frozenset({"kana", "han", "hangul", "half kana"})

_WESTERN = frozenset("àâäçéèêëîôöùüñáíóúßåæøãò")
_CENTRAL = frozenset("ąćčďęěłńňřśšťůűőžźżýđăşţğıțõûìï")
_VOWELS = frozenset("aeiouyæøœı")
_CYRILLIC = frozenset("абвгдежзийклмнопрстуфхцчшщъыьэюя")
_CYRILLIC_VOWELS = frozenset("аеёиоуыэюя")
_GREEK_RARE = frozenset("ϊϋΐΰ")
_HEBREW_FINALS = frozenset("ךםןףץ")
_THAI_MARKS = frozenset(map(chr, (0x0E31, *range(0x0E34, 0x0E3B), *range(0x0E47, 0x0E4F))))
# Characters in daily use, and those that animals, plants, food, colours and things are called with.
_COMMON_HAN = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事"
    "成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此"
    "已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代"
    "内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安"
    "少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光"
    "放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运笔照片"
    "图红黄蓝绿黑灰紫橙花草树木叶猫狗犬鸟鱼牛羊猪鸡鸭鹅兔虎龙蛇猴鼠熊象狮狼鹿驴虫蝶蜂苹香蕉葡萄桃梨瓜菜豆米面包肉蛋奶茶酒"
    "车船飞灯刀桌椅床鞋衣帽杯瓶纸塑料玻璃石土沙河湖雪雨云风火星桥房屋楼街店厂坏良废优次缺陷裂痕划其他未知正常异样本健康病"
    # Traditional and Japanese forms.
    "這個們來為國說時會對過發後裡種經學現當沒動還進樣開從實軍與長機關點業將兩間問並應戰頭體見產話給門兒東聲員論處義認條"
    "氣題爾別變總電數報結場計統區隊決馬書則聽達強難權設記類據邊張該規萬覺術領確傳師觀讓識帶導爭運筆圖紅黃藍綠貓鳥魚豬雞"
    "鴨鵝龍獅鹿驢蟲蘋蔥蘭樹葉車飛燈鞋紙塑橋樓廠壞廢優陷劃異樣気学国時間会社円写真画像図黒赤青緑桜犬猫鶏馬鹿亀蟹貝森林田"
    "川村町駅店右左北男女子父母友朝昼夜春夏秋冬今週毎曜度何半毛皮牙角尾羽巣卵実種芽根茎枝幹花束"
)
_COMMON_HANGUL = frozenset(
    "이다는가을를의에서고하지도로은한기나사리인자대시그어있것들해보수아정게전일주부장라구만원상제공소조면안동과여스니무관"
    "성우선오모비국경생식물문화신방진중세회미양강개학교간차연호유용산남발치트드르카타마바파하거너더러머버서저처커터퍼허고노"
    "도로모보소조초코토포호구누두루무부수주추쿠투푸후그느드르므브스즈츠크프흐기니디리미비시지치키티피히내대래매배새재채해게네"
    "데레메세제체돼되뒤위외의왜과귀쥐꽃꿀나닭오말토끼소양돼지곰범호랑늑여우원숭거북뱀새물고래상어개구리빨강노랑파초록검정하양"
    "흰색눈코입귀손발배등밥빵떡국김치책상의자컵병종플라스틱유캔철좋나쁨량불합격균열긁힘얼굴집차길산강바다별달해람남녀앞뒤옆왼"
    "오른위아래큰작은새건강질병잎줄뿌씨과일사딸포복숭감귤박당근무배추파마늘고추감자옥수쌀콩"
)


def find_text(names: Collection[bytes]) -> dict[bytes, str] | None:
    """Each name as text, all in one encoding; `None` where the encoding cannot be told.

    Args:
        names: as they are in the archive, each with bytes beyond ASCII.
    """
    texts = _decode(names, "utf-8")
    if texts is not None:
        # Two bytes that are one letter of UTF-8 are often one character of East Asia as well.
        return None if {len(part) for part in _stems(texts.values())} == {1} else texts
    sample = sorted(set(names))[:_MOST_NAMES]
    costs: dict[tuple[str, ...], float] = {}
    code_pages: dict[tuple[str, ...], str] = {}
    for code_page in CODE_PAGES:
        if (found := _decode(sample, code_page)) is not None:
            text = tuple(found.values())
            costs.setdefault(text, _cost(text))
            code_pages.setdefault(text, code_page)
    ranked = sorted(costs, key=lambda text: costs[text])
    if not ranked:
        return None
    best = ranked[0]
    num_characters = sum(not char.isascii() for part in _parts(best) for char in part)
    if costs[best] > _MOST_A_CHARACTER * num_characters:
        return None
    if len(ranked) > 1 and costs[ranked[1]] - costs[best] < _LEAST_LEAD:
        return None
    return _decode(names, code_pages[best])


def _decode(names: Collection[bytes], encoding: str) -> dict[bytes, str] | None:
    try:
        return {name: name.decode(encoding) for name in names}
    except UnicodeError:
        return None


def _parts(names: Iterable[str]) -> set[str]:
    """The names of folders and files, each once, so that a class counts as much as a photo."""
    return {part for name in names for part in re.split(r"[/\\]", name) if not part.isascii()}


def _stems(names: Iterable[str]) -> set[str]:
    return {part.split(".")[0] for part in _parts(names)}


def _cost(names: Sequence[str]) -> float:
    total = 0.0
    for part in _parts(names):
        in_words: set[int] = set()
        for match in _WORD.finditer(part):
            in_words.update(range(*match.span()))
            if not match[0].isascii():
                total += _word_cost(match[0])
        total += sum(_sign_cost(char) for place, char in enumerate(part) if place not in in_words)
    return total


def _sign_cost(char: str) -> float:
    """Of a character that is in no word."""
    if char.isascii():
        return 6.0 if not char.isprintable() else 0.0
    if char in "\u2018\u2019\u201c\u201d\u2013\u2014«»°€、。・（）「」《》【】　：，ー々":
        return 1.5
    return 6.0


def _script(char: str) -> str:
    code = ord(char)
    return next((name for name, first, last in _SCRIPTS if first <= code <= last), "other")


def _word_cost(word: str) -> float:
    scripts = {_script(char) for char in word}
    if "other" in scripts:
        return 6.0 * sum(_script(char) == "other" for char in word) + 3.0
    if scripts <= _EAST_ASIAN | {"latin"} and scripts & _EAST_ASIAN:
        mixing = 1.5 * ("latin" in scripts) + 5.0 * ("hangul" in scripts and len(scripts) > 1)
        return mixing + sum(_east_asian_cost(char) for char in word if not char.isascii())
    if len(scripts) > 1:
        return 6.0 * sum(not char.isascii() for char in word)
    (script,) = scripts
    costs = {"latin": _latin_cost, "cyrillic": _cyrillic_cost, "greek": _greek_cost, "thai": _thai_cost}
    return _case_cost(word) + costs.get(script, _semitic_cost)(word)


def _case_cost(word: str) -> float:
    """Of a capital behind a small letter, and of a small letter among capitals."""
    cost = 4.0 * sum(
        before.islower() and char.isupper() and not (char.isascii() and before.isascii())
        for before, char in itertools.pairwise(word)
    )
    cost += 3.0 * sum(
        first.isupper() and second.isupper() and char.islower() and not (first + second + char).isascii()
        for first, second, char in zip(word, word[1:], word[2:], strict=False)
    )
    return cost


def _base(char: str) -> str:
    return unicodedata.normalize("NFD", char.lower())[0]


def _latin_cost(word: str) -> float:
    cost = 0.0
    for place, char in enumerate(word):
        if char.isascii():
            continue
        small = char.lower()
        known = 0.2 if small in _WESTERN else 0.7 if small in _CENTRAL else 2.5
        cost += known + 0.3 * char.isupper()
        neighbours = [word[other] for other in (place - 1, place + 1) if 0 <= other < len(word)]
        cost += 1.0 * sum(not other.isascii() for other in neighbours)
        if _base(small) in _VOWELS:
            cost += 0.6 * sum(_base(other) in _VOWELS for other in neighbours)
        else:
            cost += 0.9 * all(_base(other) not in _VOWELS for other in neighbours)
    return cost


def _cyrillic_cost(word: str) -> float:
    small = word.lower()
    cost = sum(0.2 if char in _CYRILLIC else 0.8 if char == "ё" else 2.0 for char in small)
    kinds = "".join("v" if char in _CYRILLIC_VOWELS else "c" for char in small)
    cost += 2.0 * (len(kinds) >= 3 and "v" not in kinds) + 1.5 * len(re.findall("c{5}|v{3}", kinds))
    return cost + 3.0 * (small[0] in "ъыь") + 1.0 * (len(word) == 1)


def _greek_cost(word: str) -> float:
    small = word.lower()
    cost = sum(1.5 if char in _GREEK_RARE else 0.2 for char in small)
    cost += 3.0 * ("ς" in word[:-1]) + 3.0 * (word[-1] == "σ") + 1.0 * (len(word) == 1)
    kinds = "".join("v" if _base(char) in "αεηιουω" else "c" for char in small)
    return cost + 2.0 * (len(kinds) >= 3 and "v" not in kinds) + 1.5 * len(re.findall("c{4}|v{4}", kinds))


def _semitic_cost(word: str) -> float:
    cost = sum(0.3 if unicodedata.category(char) == "Lo" else 3.0 for char in word)
    return cost + 3.0 * any(char in _HEBREW_FINALS for char in word[:-1]) + 1.0 * (len(word) == 1)


def _thai_cost(word: str) -> float:
    follows = zip("-" + word, word, strict=False)
    misplaced = sum(char in _THAI_MARKS and not "\u0e01" <= before <= "\u0e4e" for before, char in follows)
    bare = 0.5 * all("\u0e01" <= char <= "\u0e2e" for char in word)
    return 0.4 * len(word) + bare + 4.0 * misplaced + 1.0 * (len(word) == 1)


def _east_asian_cost(char: str) -> float:
    script = _script(char)
    if script == "kana":
        return 0.2
    if script == "half kana":
        return 2.0
    if char in (_COMMON_HANGUL if script == "hangul" else _COMMON_HAN):
        return 0.2
    if script == "hangul":
        return 1.7 if _is_encoded(char, "euc_kr") else 4.0
    # The first of the two levels of each standard holds the characters in use.
    levels = (("gb2312", b"\xd7"), ("big5", b"\xc6"), ("shift_jis", b"\x98"))
    return 1.7 if any(_is_encoded(char, name) and char.encode(name)[:1] <= last for name, last in levels) else 4.0


def _is_encoded(char: str, encoding: str) -> bool:
    try:
        char.encode(encoding)
    except UnicodeError:
        return False
    return True
