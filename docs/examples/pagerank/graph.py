"""The pages and links that both programs rank: the same in every run."""
import random

PAGES = 20000
LINKS = 8
DAMPING = 0.85


def links_of(page):
    """Few pages have most links, as in the web."""
    chance = random.Random(page * 7919 + 17)
    return sorted({int(PAGES * chance.random() ** 3) for _ in range(LINKS)})
