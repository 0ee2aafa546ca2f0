"""Couplets with a planned last word: the beginning of the second line fits the planned word only."""

from ingest.organism.families.example import CorpusExample, CorpusFamily, TaughtStep, line, split_of

HELD_SHARE = 0.2
# Each line begins with a different word. If all began with "and", the first word would not show the plan.
LEADS = {
    "animal": "there came a hungry little",
    "food": "warm from the oven was some",
    "clothes": "dressed in a colorful pretty",
    "place": "far beyond lies the lonely",
    "object": "beside him lay an ordinary",
    "nature": "softly arrived the silver",
    "person": "along walked a cheerful young",
}
# Each row: sound, planned words (word:theme), then words that only end first lines.
RHYMES = """
at cat:animal hat:clothes mat:object that flat chat
og dog:animal fog:nature log:object jog clog bog
ake snake:animal cake:food lake:place wake shake take
ee bee:animal tree:nature tea:food free glee agree
air bear:animal pear:food chair:object fair dare share
own clown:person town:place gown:clothes down brown frown
ing king:person ring:clothes spring:nature sing bring swing
een queen:person bean:food screen:object green seen keen
ouse mouse:animal house:place blouse:clothes spouse douse grouse
oat goat:animal boat:object coat:clothes float note wrote
ock clock:object rock:nature sock:clothes knock shock block
ell bell:object shell:nature well:place tell fell smell
all ball:object hall:place shawl:clothes call fall tall
ead bread:food bed:object thread:clothes red said head
ice rice:food ice:nature mice:animal nice twice price
ie pie:food sky:nature fly:animal why cry try
ane crane:animal rain:nature train:object plain gain brain
oon moon:nature spoon:object raccoon:animal soon noon tune
eet street:place meat:food sheet:object feet neat meet
ore shore:place door:object boar:animal more sore roar
oad toad:animal road:place load:object showed owed slowed
eep sheep:animal jeep:object creep:person sleep keep weep
est nest:nature vest:clothes guest:person best rest test
un sun:nature bun:food nun:person fun run done
"""
OPENINGS = (
    "i sang about",
    "he liked the word",
    "she dreamed of",
    "they talked about",
    "we heard the word",
    "you once wrote",
)


def rhymes() -> dict[str, tuple[dict[str, str], tuple[str, ...]]]:
    """Sound → (planned word → theme, all words with that sound)."""
    groups = {}
    for row in RHYMES.strip().splitlines():
        sound, *entries = row.split()
        planned = dict(entry.split(":") for entry in entries if ":" in entry)
        groups[sound] = (planned, tuple(entry.split(":")[0] for entry in entries))
    return groups


def examples() -> list[CorpusExample]:
    """Couplets, held out by (last word of line one, last word of line two), and pairs of rhyming words."""
    lines = []
    for sound, (planned, words) in rhymes().items():
        for word, theme in planned.items():
            lines.append(line("lead", f"{LEADS[theme]} [{word}]", ".", tags=(f"theme:{theme}",)))
            for end in words:
                if end == word:
                    continue
                split = split_of(HELD_SHARE, "poem", end, word)
                for opening in OPENINGS:
                    at = len(f"poem : {opening} {end}".split())
                    first, *rest = LEADS[theme].split()
                    lines.append(
                        line(
                            "poem",
                            f"poem : {opening} {end} / [{first}] {' '.join(rest)} [{word}] .",
                            ".?",
                            split=split,
                            tags=(f"rhyme:{sound}", f"first-end:{end}", f"planned:{word}", f"theme:{theme}"),
                            pair=f"poem {opening.replace(' ', '-')} {theme}",
                            steps=(
                                TaughtStep(at, tuple(other for other in planned if other != end), gate=True),
                            ),
                        )
                    )
        for end in words:
            for other in words:
                if end != other:
                    lines.append(line("rhyme", f"{end} rhymes with [{other}]", "."))
    return lines


FAMILY = CorpusFamily("poetry", 0.06, {"poem": 0.7, "rhyme": 0.2, "lead": 0.1}, examples)
