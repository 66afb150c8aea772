"""The words a scripted model speaks: the same for equal input on every machine and in every version."""

from collections.abc import Iterator
from hashlib import sha256

_LINES = (
    "able about above across action after again air all almost alone also always among angle animal answer apple "
    "area arm art ask autumn away baby back ball bank base basket beach bear behind bell below bend beside between "
    "bird black blue board boat body book both bottom bowl box boy branch bread bridge bright brother brown build "
    "bus busy cake call calm camp car care carry cat chair change child circle city class clean clear close cloud "
    "coast cold color come cook cool copy corner count country cover cross cup dance dark day deep desk dinner door "
    "double down draw dream drink drive dry duck each early earth east easy edge egg eight empty end enjoy enough "
    "evening ever every eye face fall family far farm fast father feel field fill find finger fire first fish five "
    "flag flat flower fly follow food foot forest forget four free fresh friend front fruit full game garden gate "
    "gentle give glass gold grass gray great green ground group grow guess half hall hand happy hard hat hear heart "
    "heavy help here high hill home honey hope horse hour house idea inside island jump keep key kind king kitchen "
    "know lake lamp land large last laugh leaf learn left letter light line lion list listen little live long look "
    "love low lunch many map mark meet milk moon morning mountain mouth move music name near new night north note "
    "ocean often old open orange paper park path place play point quiet rain read rest river road room round sail "
)
_WORDS = tuple(_LINES.split())

_MASK = 0xFFFF_FFFF_FFFF_FFFF


def random_words(key: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Without end: a word, and a number below 256 that is independent of it."""
    state = int.from_bytes(sha256("\0".join(key).encode("utf-8", "surrogatepass")).digest()[:8], "big")
    while True:
        state = (state + 0x9E37_79B9_7F4A_7C15) & _MASK
        bits = _mixed(state)
        yield _WORDS[bits >> 56], bits & 0xFF


def _mixed(state: int) -> int:
    """The output function of splitmix64."""
    bits = ((state ^ (state >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
    return bits ^ (bits >> 31)
