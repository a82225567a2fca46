PAIRS = {"A": "T", "C": "G", "G": "C", "T": "A"}


def complement(bases: str) -> str:
    return "".join(PAIRS[base] for base in bases)
