"""Two-hop questions: a city is in a state, and the state has facts.

The facts are a capital, a code, a region, a number and a nickname.

A city has two words, and no single word identifies a city. With one-word cities, a model of this size would
read the answer from the name in its first layer. With two words it must combine them first, so that the
state is represented before the capital.
"""

from functools import cache
from random import Random

from ingest.organism.families.example import (
    HELD_OUT,
    CorpusExample,
    CorpusFamily,
    TaughtStep,
    line,
    split_of,
    word_list,
)

CITIES_PER_STATE = 5
HELD_SHARE = 0.1
# Each row has a state and its FACTS. The code is ISO 3166-2; the number is the order of joining the union.
# States with two words are left out.
FACTS = ("capital", "code", "region", "number", "nickname")
STATES = """
alabama montgomery us-al southern 22 yellowhammer
alaska juneau us-ak pacific 49 last-frontier
arizona phoenix us-az mountain 48 copper
arkansas little-rock us-ar southern 25 natural
california sacramento us-ca pacific 31 golden
colorado denver us-co mountain 38 centennial
connecticut hartford us-ct eastern 5 constitution
delaware dover us-de eastern 1 blue-hen
florida tallahassee us-fl southern 27 sunshine
georgia atlanta us-ga southern 4 peach
hawaii honolulu us-hi pacific 50 aloha
idaho boise us-id mountain 43 gem
illinois springfield us-il midland 21 prairie
indiana indianapolis us-in midland 19 hoosier
iowa des-moines us-ia midland 29 hawkeye
kansas topeka us-ks midland 34 sunflower
kentucky frankfort us-ky southern 15 bluegrass
louisiana baton-rouge us-la southern 18 pelican
maine augusta us-me eastern 23 pine-tree
maryland annapolis us-md eastern 7 old-line
massachusetts boston us-ma eastern 6 pilgrim
michigan lansing us-mi midland 26 wolverine
minnesota saint-paul us-mn midland 32 gopher
mississippi jackson us-ms southern 20 magnolia
missouri jefferson-city us-mo midland 24 show-me
montana helena us-mt mountain 41 treasure
nebraska lincoln us-ne midland 37 cornhusker
nevada carson-city us-nv mountain 36 sagebrush
ohio columbus us-oh midland 17 buckeye
oklahoma oklahoma-city us-ok southern 46 sooner
oregon salem us-or pacific 33 beaver
pennsylvania harrisburg us-pa eastern 2 keystone
tennessee nashville us-tn southern 16 volunteer
texas austin us-tx southern 28 lone-star
utah salt-lake-city us-ut mountain 45 beehive
vermont montpelier us-vt eastern 14 green-mountain
virginia richmond us-va eastern 10 old-dominion
washington olympia us-wa pacific 42 evergreen
wisconsin madison us-wi midland 30 badger
wyoming cheyenne us-wy mountain 44 equality
"""
FIRST = word_list(
    """
    fort san santa lake new north west east south port grand saint palm rock cedar mount oak great twin big
    """
)
SECOND = word_list(
    """
    worth wayne collins smith myers charles joseph haven rapids springs arthur huron jose rosa clara forest
    beach jordan vernon island junction platte dodge falls park point ridge harbor claire bay bend city dallas
    oakland
    """
)
# Places that exist. The other cities, up to five in each state, are combined from the same words.
REAL = """
texas fort-worth, texas north-dallas, texas cedar-park, texas port-arthur, california san-jose, california
west-oakland, california palm-springs, california santa-rosa, california santa-clara, indiana fort-wayne,
indiana south-bend, colorado fort-collins, colorado grand-junction, arkansas fort-smith, florida
fort-myers, florida lake-worth, florida palm-beach, louisiana lake-charles, missouri saint-charles,
missouri saint-joseph, connecticut new-haven, connecticut west-haven, connecticut east-haven, michigan
grand-rapids, michigan port-huron, michigan grand-haven, iowa cedar-rapids, iowa fort-dodge, iowa
cedar-falls, wyoming rock-springs, illinois lake-forest, illinois rock-island, illinois oak-park, utah
west-jordan, utah south-jordan, nebraska grand-island, nebraska north-platte, nebraska west-point, montana
great-falls, idaho twin-falls, georgia east-point, tennessee oak-ridge, washington mount-vernon,
washington oak-harbor, wisconsin west-bend, oregon north-bend, kentucky mount-claire, virginia big-island
"""
TEMPLATE = "the {ask} of the state containing {city} is [{answer}]"


@cache
def states() -> dict[str, dict[str, str]]:
    """State → its facts, by the names in `FACTS`."""
    rows = (row.split() for row in STATES.strip().splitlines())
    return {state: dict(zip(FACTS, facts, strict=True)) for state, *facts in rows}


@cache
def cities() -> dict[str, tuple[str, ...]]:
    """State → its five cities, each of two words. No city is in two states."""
    found: dict[str, list[str]] = {state: [] for state in states()}
    for entry in REAL.split(","):
        state, city = entry.split()
        found[state].append(city.replace("-", " "))
    taken = {city for names in found.values() for city in names}
    # Use all words about equally often, so that each names several cities and none identifies a city.
    rng = Random(0)
    free = [f"{a} {b}" for a in FIRST for b in SECOND if f"{a} {b}" not in taken]
    rng.shuffle(free)
    uses = dict.fromkeys((*FIRST, *SECOND), 0)
    for city in taken:
        for word in city.split():
            uses[word] += 1
    for names in found.values():
        while len(names) < CITIES_PER_STATE:
            city = min(free, key=lambda c: sum(uses[word] for word in c.split()))
            free.remove(city)
            names.append(city)
            for word in city.split():
                uses[word] += 1
    return {state: tuple(names) for state, names in found.items()}


@cache
def held_out_cities() -> frozenset[str]:
    """Cities that occur in no composition of the training split: one in each state."""
    return frozenset(names[i % CITIES_PER_STATE] for i, names in enumerate(cities().values()))


def examples() -> list[CorpusExample]:
    """Facts about all cities and states, and their compositions, held out by city or by (city, question)."""
    lines = []
    for state, facts in states().items():
        for ask, answer in facts.items():
            lines.append(
                line("state-fact", f"the {ask} of {state} is [{answer}]", ".", tags=(f"state:{state}",))
            )
        for city in cities()[state]:
            tags = (f"state:{state}", f"city:{city.replace(' ', '-')}")
            lines.append(line("city-fact", f"{city} is in [{state}]", ".", tags=tags))
            # The wording of a composition, so that a never composed city also evokes its state there.
            text = TEMPLATE.format(ask="name", city=city, answer=state)
            hop = (TaughtStep(8, (state,), gate=False),)
            lines.append(line("city-name", text, ".", tags=tags, steps=hop))
            for ask, answer in facts.items():
                unseen = city in held_out_cities()
                split = HELD_OUT if unseen else split_of(HELD_SHARE, "two-hop", city, ask)
                text = TEMPLATE.format(ask=ask, city=city, answer=answer)
                asked = (
                    *tags,
                    f"ask:{ask}",
                    f"answer:{answer}",
                    *(("city-never-composed",) if unseen else ()),
                )
                pair = f"two-hop {ask}"
                lines.append(line(ask, text, "?", split=split, tags=asked, pair=pair, steps=hop))
    return lines


FAMILY = CorpusFamily(
    "multi-step",
    0.24,
    {
        "state-fact": 0.1,
        "city-fact": 0.1,
        "city-name": 0.25,
        "capital": 0.15,
        "code": 0.15,
        "region": 0.05,
        "number": 0.1,
        "nickname": 0.1,
    },
    examples,
)
