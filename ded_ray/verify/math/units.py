r"""Units behind a number. They are left out where only one answer has one, and never compared."""

import re

_MEASURES = r"""
km cm mm nm m ft in yd mi kg g mg lb lbs oz l L ml mL s sec secs min mins h hr hrs mph kmh kph mps N J kJ W kW V Hz
kHz Pa K mol rad deg (?:kilo|centi|milli)?(?:met(?:er|re)|gram|lit(?:er|re))s? feet foot inch(?:es)? yards? miles?
acres? hectares? cups? gallons? pints? quarts? ounces? pounds? tons? tonnes? degrees? radians? celsius fahrenheit
kelvin watts? volts? joules? newtons? moles? knots? seconds? minutes? hours? days? weeks? months? years? decades?
centuries dollars? cents? euros? pence yen yuan rupees? pesos? francs? USD EUR GBP INR units? people persons?
students? children child boys? girls? men women adults? kids? friends? workers? players? teams? members? apples?
oranges? books? pages? pieces? slices? bags? boxes box bottles? cookies? marbles? coins? cards? tickets? balls?
pencils? pens? toys? stickers? flowers? trees? eggs? cars? houses? chairs? tables? words? points? times ways sides
edges vertices faces triangles? squares? rectangles? steps? games? laps? trips? rows? columns? digits? numbers?
integers? terms? solutions? roots? cows? dogs? cats? birds? chickens? horses? sheep fish pairs
"""
_MEASURE = "|".join(sorted(_MEASURES.split(), key=len, reverse=True))
_POWER = r"(?:\s?\^\s?(?:\{-?\d\}|-?\d))?"
_ONE = rf"(?:(?:square|cubic|sq\.?|cu\.?)\s?)?(?:{_MEASURE})(?![a-zA-Z])\.?{_POWER}"
_UNIT = re.compile(
    r"(?:(?<=[\d})!π])|(?<=\\pi))\s?(?:\\,|~)?\s?"
    rf"(?:{_ONE}|square|cubic)(?:(?:\s?[/*]\s?|\s(?:per|an?|each|of)\s|\s){_ONE})*"
    r"(?:\s(?:each|old|long|tall|left|total|in total))?\s?$"
)
_NO_LETTER = re.compile(r"\\[a-zA-Z]+|[^a-zA-Z\\]+|\\")


def without_unit(answer: str, other: str) -> str:
    """`7.5 dollars` as `7.5`, where the other answer is without letters and so no product of variables.

    Only words that are known to be units: `5 million` and `2 thirds` are other numbers.
    """
    spaced = " ".join(answer.split())
    bare = _UNIT.sub("", spaced)
    return bare if bare != spaced and not _NO_LETTER.sub("", other) else answer
