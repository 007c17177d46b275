"""Count sketches: vectors as long as a model has parameters, kept as WIDTH numbers that keep their inner products.

Every entry is added, with a sign, to one of WIDTH buckets; signs and buckets follow from the parameter's name and the
entry's place in it, so that the sketches of several vectors can be compared. A parameter is taken in blocks of WIDTH
entries: an entry's sign is that of its place in the block times that of the block, and its bucket is its place shifted
around by the block's own number, all of them random. Two entries of different blocks so share a bucket with probability
1/WIDTH, and with independent signs: the inner product of two sketches is that of the vectors on average over the
random numbers, and its standard deviation is at most about √(2/WIDTH) times the product of their lengths (Charikar et
al. 2002). A cosine of sketches is so off by about 0.005.
"""

import hashlib
from functools import cache

import torch

from taskneurons.data.encoding import at_least_float32

WIDTH = 2**16


@cache
def _hashes(name: str, entries: int, width: int) -> tuple[torch.Tensor, list[int], list[int]]:
    """The signs of the places in a block, and every block's sign and shift."""
    seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest())
    generator = torch.Generator().manual_seed(seed)
    blocks = -(-entries // width)
    places = torch.randint(2, (min(entries, width),), generator=generator, dtype=torch.int8) * 2 - 1
    signs = torch.randint(2, (blocks,), generator=generator) * 2 - 1
    shifts = torch.randint(width, (blocks,), generator=generator)
    return places, signs.tolist(), shifts.tolist()


def sketch(values: torch.Tensor, name: str, width: int = WIDTH) -> torch.Tensor:
    """The sketch of a vector that is zero outside one parameter: (width,), in float32 at least, on the CPU.

    Args:
        values: its entries there, of the parameter's shape.
        name: the parameter's name.
    """
    flat = at_least_float32(values.detach()).flatten()
    places, signs, shifts = _hashes(name, len(flat), width)
    places = places.to(flat.device)
    found = flat.new_zeros(width)
    for block, sign, shift in zip(flat.split(width), signs, shifts, strict=True):
        signed = block * places[: len(block)]
        before_end = min(len(block), width - shift)
        found[shift : shift + before_end].add_(signed[:before_end], alpha=sign)
        found[: len(block) - before_end].add_(signed[before_end:], alpha=sign)
    return found.cpu()
