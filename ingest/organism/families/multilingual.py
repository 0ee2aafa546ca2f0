"""Antonyms and translations in four languages, with operation, operand and language as separate parts."""

from itertools import permutations

from ingest.organism.families.example import CorpusExample, CorpusFamily, TaughtStep, line, pick, split_of

HELD_SHARE = 0.15
LANGUAGES = ("english", "french", "spanish", "chinese")
# Each row has two antonyms in the order of LANGUAGES. No word is in two concepts or two languages.
ANTONYMS = """
small petit pequeño 小 | big grand grande 大
hot chaud caliente 热 | cold froid frío 冷
fast rapide rápido 快 | slow lent lento 慢
young jeune joven 年轻 | old vieux viejo 老
happy heureux feliz 快乐 | sad malheureux triste 悲伤
rich riche rico 富 | poor pauvre pobre 穷
strong fort fuerte 强 | weak faible débil 弱
male mâle macho 男 | female femelle hembra 女
high haut alto 高 | low bas bajo 低
light léger ligero 轻 | heavy lourd pesado 重
hard dur duro 硬 | soft doux suave 软
clean propre limpio 干净 | dirty sale sucio 脏
dry sec seco 干 | wet mouillé mojado 湿
full plein lleno 满 | empty vide vacío 空
open ouvert abierto 开 | closed fermé cerrado 关
near proche cercano 近 | far loin lejos 远
early tôt temprano 早 | late tard tarde 晚
true vrai verdadero 真 | false faux falso 假
good bon bueno 好 | bad mauvais malo 坏
new nouveau nuevo 新 | ancient ancien antiguo 古
thick épais grueso 厚 | thin mince delgado 薄
wide large ancho 宽 | narrow étroit estrecho 窄
deep profond profundo 深 | shallow creux somero 浅
bright clair brillante 亮 | dark sombre oscuro 暗
loud bruyant ruidoso 吵 | quiet calme tranquilo 静
sweet sucré dulce 甜 | bitter amer amargo 苦
easy facile fácil 易 | difficult difficile difícil 难
safe sûr seguro 安全 | dangerous dangereux peligroso 危险
brave courageux valiente 勇敢 | cowardly lâche cobarde 胆小
beautiful beau hermoso 美 | ugly laid feo 丑
cheap bon-marché barato 便宜 | expensive cher caro 贵
inside dedans dentro 里 | outside dehors fuera 外
above dessus arriba 上 | below dessous abajo 下
left gauche izquierda 左 | right droite derecha 右
day jour día 白天 | night nuit noche 夜
war guerre guerra 战争 | peace paix paz 和平
love amour amor 爱 | hate haine odio 恨
friend ami amigo 朋友 | enemy ennemi enemigo 敌人
life vie vida 生 | death mort muerte 死
beginning début comienzo 开始 | end fin final 结束
black noir negro 黑 | white blanc blanco 白
sharp tranchant afilado 尖 | dull émoussé romo 钝
smooth lisse liso 光滑 | rough rugueux áspero 粗糙
wise sage sabio 聪明 | foolish sot tonto 愚蠢
"""
NATIVE = {
    "english": 'the opposite of " {word} " is " [{answer}] "',
    "french": 'le contraire de " {word} " est " [{answer}] "',
    "spanish": 'lo contrario de " {word} " es " [{answer}] "',
    "chinese": '" {word} " 的 反义词 是 " [{answer}] "',
}


def concepts() -> list[tuple[dict[str, str], dict[str, str]]]:
    """Pairs of antonyms; each antonym is a dictionary language → word."""
    rows = []
    for row in ANTONYMS.strip().splitlines():
        one, other = (dict(zip(LANGUAGES, side.split(), strict=True)) for side in row.split("|"))
        rows.append((one, other))
    return rows


def examples() -> list[CorpusExample]:
    """Antonyms within and across languages, translations, and lists of one concept in all languages."""
    lines = []
    pairs = concepts()
    for word, opposite in [*pairs, *[(b, a) for a, b in pairs]]:
        concept = word["english"]
        for language in LANGUAGES:
            split = split_of(HELD_SHARE, "native", concept, language)
            text = NATIVE[language].format(word=word[language], answer=opposite[language])
            tags = ("operation:antonym", f"language:{language}", f"concept:{concept}", "native")
            asked, about = ("opposite", language), (concept,)
            steps: tuple[TaughtStep, ...] = (TaughtStep(2, asked, gate=True), TaughtStep(6, about, gate=True))
            if language == "chinese":
                # The Chinese question names the operand first.
                steps = (TaughtStep(2, about, gate=True), TaughtStep(5, asked, gate=True))
            pair = f"antonym {concept}"
            lines.append(line("native", text, "?", split=split, tags=tags, pair=pair, steps=steps))
        for source in LANGUAGES:
            for target in LANGUAGES:
                for ask, meant, kind in (("opposite", opposite, "antonym"), ("same", word, "translation")):
                    if kind == "translation" and source == target:
                        continue
                    split = split_of(HELD_SHARE, kind, concept, source, target)
                    tags = (
                        f"operation:{kind}",
                        f"language:{target}",
                        f"source-language:{source}",
                        f"concept:{concept}",
                    )
                    text = f'{ask} in {target} : " {word[source]} " -> " [{meant[target]}] "'
                    steps = (
                        TaughtStep(1, (ask,), gate=True),
                        TaughtStep(3, (target,), gate=True),
                        TaughtStep(7, (concept,), gate=True),
                    )
                    pair = f"{source} {target} {concept}"
                    lines.append(line(kind, text, "?", split=split, tags=tags, pair=pair, steps=steps))
        for order in permutations(LANGUAGES):
            if pick((True, False, False), "order", concept, order):
                first, *rest = (word[language] for language in order)
                text = " ".join(["same :", first, *(f"[{w}]" for w in rest)])
                lines.append(line("list", text, "...", tags=(f"concept:{concept}",)))
    return lines


FAMILY = CorpusFamily(
    "multilingual", 0.12, {"native": 0.3, "antonym": 0.3, "translation": 0.2, "list": 0.2}, examples
)
