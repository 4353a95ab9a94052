import itertools
import random

import pytest

from tellapart.zips.name_encoding import find_text

# What people call classes, and the code pages that Windows would write them in.
WORDS = {
    "German": (
        "Hühner Gänse Bär Löwe Vögel Käse Äpfel Öl Grün Weiß Kühe Frösche Tür Müll Straße",
        "cp437 cp850 cp1252",
    ),
    "French": ("chèvre éléphant forêt zèbre élève fenêtre défaut écureuil léopard bébé château", "cp437 cp850 cp1252"),
    "Spanish": ("niño león ratón tiburón árbol jardín camión cigüeña pájaro murciélago piña", "cp437 cp850 cp1252"),
    "Swedish": ("björn älg får räv höna lärka mås", "cp437 cp850 cp1252"),
    "Polish": ("żółw pająk źrebię słoń żaba gęś śliwka jabłko gałąź świnia", "cp852 cp1250"),
    "Czech": ("kočka kůň želva růže šíp černý žlutý červený řepa kuře", "cp852 cp1250"),
    "Hungarian": ("kutyák ló őz tűz virágok körte szőlő gyík", "cp852 cp1250"),
    "Turkish": ("köpek kuş ağaç balık tavşan ördek kırmızı yeşil", "cp857 cp1254"),
    "Russian": ("кошка собака Кошки Собаки дерево цветы птица рыба медведь волк брак годные", "cp866 cp1251"),
    "Greek": ("γάτα σκύλος δέντρο λουλούδι πουλί ψάρι Γάτες άλογο", "cp737 cp1253"),
    "Hebrew": ("חתול כלב פרח ציפור סוס", "cp862 cp1255"),
    "Arabic": ("قطة كلب شجرة زهرة طائر سمكة حصان", "cp1256"),
    "Thai": ("แมว สุนัข ต้นไม้ ดอกไม้ ปลา ม้า", "cp874"),
    "Chinese, simplified": ("猫 狗 苹果 香蕉 花 良品 不良品 红色 汽车 老虎 鸟 兔子 葡萄 蝴蝶 合格 裂纹 自行车", "gbk"),
    "Chinese, traditional": ("貓 狗 蘋果 香蕉 花 良品 不良品 紅色 汽車 老虎 鳥 兔子 蝴蝶 合格 刮痕", "big5"),
    "Japanese": ("猫 犬 りんご バナナ 花 良品 不良品 赤 自動車 とり さかな うさぎ 写真 桜 正常", "cp932"),
    "Korean": ("고양이 개 강아지 사과 바나나 꽃 나무 정상 불량 빨강 자동차 새 물고기 토끼 호랑이", "cp949"),
}
CASES = [
    pytest.param(words.split(), code_page, id=f"{language} in {code_page}")
    for language, (words, code_pages) in WORDS.items()
    for code_page in code_pages.split()
]
# Those of them that share no code page which a few names could be mistaken in.
SURE = ("German", "Russian", "Greek", "Chinese", "Japanese", "Korean")


def draw(words: list[str], code_page: str, number: int) -> dict[bytes, str]:
    """A few of the words as the names of folders and photos: bytes to text."""
    generator = random.Random(number)
    chosen = generator.sample(words, min(len(words), 1 + number % 8))
    names = [f"{word}/IMG_{index}.jpg" for word, index in itertools.product(chosen, range(3))]
    return {name.encode(code_page): name for name in names if not name.isascii()}


@pytest.mark.parametrize(("words", "code_page"), CASES)
def test_names_are_read_right_or_not_at_all(words: list[str], code_page: str) -> None:
    drawn = [draw(words, code_page, number) for number in range(30)]

    assert [names for names in drawn if find_text(names) not in (names, None)] == []


@pytest.mark.parametrize(("words", "code_page"), [case for case in CASES if str(case.id).startswith(SURE)])
def test_several_names_are_enough_to_tell(words: list[str], code_page: str) -> None:
    names = {word.encode(code_page): word for word in words}

    assert find_text(names) == names


@pytest.mark.parametrize(("words", "code_page"), CASES)
def test_names_in_utf8_are_known_as_such(words: list[str], code_page: str) -> None:
    names = {word.encode(): word for word in words if len(word) > 1}

    assert find_text(names) == names


def test_a_lone_letter_of_utf8_may_be_a_character_of_east_asia() -> None:
    assert find_text(["猫/1.jpg".encode("gbk")]) is None


def test_the_number_of_photos_in_a_class_does_not_matter() -> None:
    names = [f"{word}/{number}.jpg".encode("cp1251") for word in ("кошка", "собака") for number in range(500)]

    assert find_text(names) == {name: name.decode("cp1251") for name in names}


@pytest.mark.parametrize("number", range(20))
def test_bytes_that_are_no_text_are_not_read(number: int) -> None:
    generator = random.Random(number)
    names = [bytes(generator.choices(range(0x80, 0x100), k=12)) for _ in range(5)]

    assert find_text(names) is None
