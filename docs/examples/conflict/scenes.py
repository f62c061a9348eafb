"""Pictures and a video that are drawn, so that it is known what is in them."""
import random

import numpy

SIZE = 32  # Of a face, and of what moves.


def faces():
    return [numpy.random.default_rng(face).integers(1, 256, (SIZE, SIZE)).astype(numpy.uint8)
            for face in range(6)]


def faces_in(number):
    """(face, x, y) of each: one in each cell of a grid, so that none touches another."""
    chance = random.Random(number)
    cells = chance.sample([(x, y) for x in range(6) for y in range(4)], 5)
    return sorted((chance.randrange(6), x * 80 + chance.randrange(40), y * 80 + chance.randrange(40))
                  for x, y in cells)


def picture(number):
    drawn = numpy.zeros((320, 480), numpy.uint8)
    known = faces()
    for face, x, y in faces_in(number):
        drawn[y:y + SIZE, x:x + SIZE] = known[face]
    return drawn


def background():
    return numpy.random.default_rng(99).integers(0, 100, (240, 640)).astype(numpy.uint8)


def things_in(frame):
    """Three things on lanes of their own; the second comes later and the third goes."""
    places = [(5 + frame % 500, 10)]
    if frame >= 100:
        places.append((600 - (frame - 100) * 2, 90))
    if frame < 200:
        places.append((40 + frame * 2, 180))
    return sorted(places)


def frame(number):
    drawn = background()
    for x, y in things_in(number):
        drawn[y:y + SIZE, x:x + SIZE] = 255
    return drawn
