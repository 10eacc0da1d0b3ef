"""Words of the generated reviews.

Everything stands in pairs of near synonyms, "train/test": the training split has the
first of each pair and the test split the second, so that remembering words helps
little and knowing what they mean helps. What is good in a story (surprising, dark,
slow to reveal itself) is bad in a machine or a tent, and the other way round.
"""

from __future__ import annotations

from typing import NamedTuple

Pairs = list[tuple[str, str]]


class Domain(NamedTuple):
    """Words of one product category."""

    nouns: Pairs
    aspects: Pairs
    good: Pairs
    bad: Pairs
    occasions: Pairs


def _pairs(text: str) -> Pairs:
    entries = [entry.strip().split("/") for entry in " ".join(text.split()).split(",")]
    return [(first.strip(), second.strip()) for first, second in entries]


DOMAINS = {
    "books": Domain(
        nouns=_pairs("novel/paperback, biography/memoir, thriller/whodunit, saga/epic"),
        aspects=_pairs(
            """plot/storyline, heroine/main character, prose/writing, first chapter/
            opening chapter, last page/final page, narrator/storyteller, style/voice,
            translation/English version"""
        ),
        good=_pairs(
            """gripping/engrossing, moving/touching, unpredictable/full of twists,
            mysterious/enigmatic, dark/sombre, thought-provoking/stimulating,
            complex/many-layered, witty/full of humour, elegant/graceful, haunting/hard
            to forget, deep/profound, surprising/startling"""
        ),
        bad=_pairs(
            """predictable/easy to foresee, dull/tedious, shallow/superficial,
            long-winded/wordy, clumsy/awkward, confusing/muddled, simple/
            one-dimensional, lifeless/bloodless, repetitive/monotonous, full of
            cliches/hackneyed, preachy/moralising, sentimental/mawkish"""
        ),
        occasions=_pairs(
            """On the train/On the bus to work, Over a weekend/In two evenings, For our
            reading circle/For the book club, In the hammock/On the beach"""
        ),
    ),
    "films": Domain(
        nouns=_pairs("film/movie, comedy/farce, western/war film, sequel/remake"),
        aspects=_pairs(
            """acting/performance of the cast, script/screenplay, soundtrack/score,
            camera work/cinematography, ending/finale, lead actress/leading man,
            editing/cutting, dialogue/exchange between the two leads"""
        ),
        good=_pairs(
            """dazzling/stunning, suspenseful/nail-biting, hilarious/very funny,
            original/inventive, chilling/spine-tingling, unexpected/impossible to guess,
            sharp/clever, bold/daring, poetic/lyrical, full of tension/breathtaking,
            disturbing/unsettling, wild/crazy in the best way"""
        ),
        bad=_pairs(
            """wooden/stiff, boring/sleep-inducing, obvious/telegraphed, corny/cheesy,
            flat/toothless, tired/stale, endless/dragged out, silly/idiotic, loud and
            empty/all noise, sloppy/careless, safe/tame, pretentious/self-important"""
        ),
        occasions=_pairs(
            """At the cinema/On the big screen, On movie night/With popcorn, With
            subtitles/In the original language, At the festival/At the premiere"""
        ),
    ),
    "kitchen": Domain(
        nouns=_pairs(
            """kettle/coffee maker, frying pan/skillet, blender/food processor,
            oven/grill"""
        ),
        aspects=_pairs(
            """lid/cover, handle/grip, thermostat/temperature control, coating/non-stick
            surface, motor/engine, blade/knife, timer/clock, cord/cable"""
        ),
        good=_pairs(
            """predictable/the same every single morning, simple/plain, quiet/hardly
            audible, hot in a minute/quickly heated, easy to clean/dishwasher-safe,
            sturdy/solid, sharp/keen, exact/precise, safe/childproof,
            cool to the touch/well insulated, reliable/trouble-free,
            compact/space-saving"""
        ),
        bad=_pairs(
            """unpredictable/different every time, surprising/full of nasty
            surprises, complex/overcomplicated, lukewarm/barely warm, leaky/dripping,
            noisy/deafening, flimsy/rickety, blunt/dull, rusty/corroded, scorched/burnt,
            chilling/stone cold, wild/out of control"""
        ),
        occasions=_pairs(
            """For breakfast/Every morning, With pasta/With rice, After a month in our
            kitchen/After some weeks on the stove, For a big family dinner/When guests
            came to eat"""
        ),
    ),
    "camping": Domain(
        nouns=_pairs(
            """tent/shelter, sleeping bag/bedroll, rucksack/backpack, camp stove/gas
            burner"""
        ),
        aspects=_pairs(
            """zip/zipper, fabric/material, seam/stitching, strap/buckle, pole/peg,
            padding/lining, pocket/compartment, rain cover/flysheet"""
        ),
        good=_pairs(
            """watertight/dry in a downpour, light/weightless, warm/cosy, tough/rugged,
            boring to set up/put up without any thought, obvious/self-explanatory,
            roomy/spacious, safe in a storm/stable in high wind, easy to pack/quick to
            fold, tight/well sealed, flat/even, tame/docile in the wind"""
        ),
        bad=_pairs(
            """damp/soaked, heavy/weighty, torn/ripped, cold/freezing, stiff/jammed,
            draughty/no match for wind, cramped/tight, breathtaking/stifling,
            mysterious/impossible to work out, bent/crooked, wet through/sodden,
            dark/pitch-black inside"""
        ),
        occasions=_pairs(
            """In the mountains/On a glacier, On a rainy hike/On a muddy trail, In the
            forest/In the woods, By the lake/On the river bank"""
        ),
    ),
}
RARE = ("kitchen", "camping")

# In any category: adjectives, and verdicts on the whole product.
GOOD = _pairs(
    """wonderful/marvellous, excellent/superb, great/fantastic, lovely/delightful,
    perfect/flawless, amazing/awesome, brilliant/outstanding, impressive/remarkable,
    enjoyable/pleasant, good/fine, pleasing/satisfying, beautiful/gorgeous"""
)
BAD = _pairs(
    """terrible/dreadful, awful/horrible, bad/poor, disappointing/frustrating,
    useless/worthless, annoying/irritating, pathetic/lousy, mediocre/second-rate,
    unpleasant/nasty, ugly/hideous, ridiculous/laughable, a shame/a disgrace"""
)
PRAISE = _pairs(
    """I would buy this {noun} again/I am getting a second {noun},
    I told all my friends about it/I recommend it to everybody,
    it was worth every cent/it was money well spent,
    I am very happy with this {noun}/it made my day,
    best {noun} I have had in years/I have never had a better {noun},
    five stars for this {noun}/full marks for this {noun}"""
)
BLAME = _pairs(
    """I sent this {noun} back/I returned it at once,
    I want my money back/I demand a refund,
    I warned all my friends about this {noun}/I would not wish it on anybody,
    I am very unhappy with this {noun}/it spoilt my day,
    worst {noun} I have had in years/I have never had a worse {noun},
    one star for this {noun}/no stars for this {noun}"""
)
