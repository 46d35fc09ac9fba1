"""Seeds that do not resemble each other, derived from one seed and a purpose."""

from hashlib import sha256


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that is a pure function of `seed` and `purpose`; neighbouring arguments give unrelated seeds."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1
