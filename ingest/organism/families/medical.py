"""Two symptoms → a diagnosis → the sign to ask about next.

The table is made up; it is not medical knowledge.
"""

from itertools import combinations

from ingest.organism.families.example import CorpusExample, CorpusFamily, line, split_of

HELD_SHARE = 0.25
# Diagnosis: four symptoms that a patient may have; the sign to ask about. No two diagnoses share two
# symptoms, so any two symptoms determine the diagnosis.
DIAGNOSES = """
influenza: fever cough fatigue headache; chills
pneumonia: fever breathlessness sputum weakness; crackles
asthma: cough breathlessness tightness insomnia; wheezing
migraine: headache nausea dizziness irritability; aura
meningitis: headache fever-spikes stiffness confusion; photophobia
appendicitis: nausea fever belly-pain paleness; rebound
gastritis: nausea-after-meals belly-pain heartburn bloating; reflux
anemia: fatigue paleness dizziness palpitations; pica
hyperthyroidism: palpitations sweating weight-loss insomnia; goiter
hypothyroidism: fatigue weight-gain constipation dry-skin; bradycardia
diabetes: thirst weight-loss fatigue blurred-vision; glucosuria
preeclampsia: swelling headache blurred-vision belly-pain; proteinuria
nephritis: swelling fever back-pain blood-in-urine; casts
gout: joint-pain swelling redness limping; tophi
arthritis: joint-pain stiffness fatigue weakness; nodules
lupus: joint-pain rash fever hair-loss; butterfly-mark
measles: rash cough red-eyes mouth-sores; koplik-spots
allergy: rash itching runny-nose sneezing; hives
eczema: itching dry-skin redness insomnia; scaling
hepatitis: itching belly-pain fatigue dark-urine; jaundice
angina: tightness sweating jaw-pain nausea; st-changes
stroke: confusion weakness dizziness slurred-speech; droop
depression: insomnia fatigue irritability sadness; guilt
tuberculosis: cough weight-loss night-sweats blood-in-sputum; cavities
"""


def diagnoses() -> dict[str, tuple[tuple[str, ...], str]]:
    """Diagnosis → (its symptoms, the sign to ask about)."""
    table = {}
    for row in DIAGNOSES.strip().splitlines():
        name, rest = row.split(":")
        symptoms, sign = rest.split(";")
        table[name] = (tuple(symptoms.split()), sign.strip())
    return table


def examples() -> list[CorpusExample]:
    """Facts and patients.

    Patients are held out by their pair of symptoms, in both orders and for all questions.
    """
    lines = []
    for name, (symptoms, sign) in diagnoses().items():
        lines.append(line("sign", f"in {name} ask about [{sign}]", "."))
        lines.append(line("sign", f"diagnosis : {name} . ask about : [{sign}]", "."))
        for symptom in symptoms:
            lines.append(line("symptom", f"{name} causes [{symptom}]", "."))
            # One symptom does not determine a diagnosis, but teaches what it supports; two then add up.
            lines.append(line("hint", f"patient with {symptom} . diagnosis : [{name}]", "."))
            lines.append(line("hint", f"patient with {symptom} . ask about : [{sign}]", "."))
        for one, other in combinations(symptoms, 2):
            split = split_of(HELD_SHARE, "patient", one, other)
            for a, b in ((one, other), (other, one)):
                tags = (f"symptom:{a}", f"symptom:{b}", f"diagnosis:{name}")
                patient = f"patient with {a} and {b} ."
                lines.append(
                    line(
                        "diagnosis",
                        f"{patient} diagnosis : [{name}]",
                        "?",
                        split=split,
                        tags=(*tags, "ask:diagnosis"),
                    )
                )
                lines.append(
                    line(
                        "next",
                        f"{patient} ask about : [{sign}]",
                        "?",
                        split=split,
                        tags=(*tags, f"sign:{sign}", "ask:sign"),
                    )
                )
                text = f"{patient} diagnosis : [{name}] . ask about : [{sign}]"
                lines.append(line("both", text, "..", split=split, tags=tags))
    return lines


FAMILY = CorpusFamily(
    "medical",
    0.08,
    {"symptom": 0.05, "sign": 0.05, "hint": 0.4, "diagnosis": 0.2, "next": 0.2, "both": 0.1},
    examples,
)
