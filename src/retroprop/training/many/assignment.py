"""The networks of each rank, where ranks train networks of their own."""

from retroprop.training.many.grouping import Arrangement, Numbered


def assigned(arrangement: Arrangement, ranks: int) -> list[int]:
    """Return the rank of each training: the next largest goes to the rank with the least work.

    Trainings that draw from one generator, one after another, have one rank.
    """
    units: list[list[Numbered]] = [[one] for _, group in arrangement.groups for one in group]
    of_generator: dict[int, list[Numbered]] = {}
    for one in arrangement.alone:
        of_generator.setdefault(id(one[1].rng), []).append(one)
    units += of_generator.values()
    loads, found = [0] * ranks, dict[int, int]()
    works = [(sum(one.elements for _, one in unit), [number for number, _ in unit]) for unit in units]
    for work, numbers in sorted(works, key=lambda unit: (-unit[0], unit[1])):
        rank = loads.index(min(loads))
        loads[rank] += work
        found |= dict.fromkeys(numbers, rank)
    return [found[number] for number in range(len(found))]
