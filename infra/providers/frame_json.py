"""JSON that the strict decoder refused, read once more with what real servers get wrong repaired."""

import json
import math

from infra.providers.anomalies import Anomalies, Anomaly


class Undecodable(Exception):
    pass


def repaired_json(data: bytes, anomalies: Anomalies) -> object:
    """Invalid UTF-8 becomes U+FFFD and lone surrogates are kept for the text repair; else raises Undecodable."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        anomalies[Anomaly.INVALID_UTF8] += 1
        text = data.decode(errors="replace")
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as fault:
        raise Undecodable from fault


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number
