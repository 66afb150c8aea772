"""The one way in which integers are divided where a remainder may not be lost."""


def cdiv(dividend: int, divisor: int) -> int:
    """Integer division rounded up."""
    return -(-dividend // divisor)
