"""make_text.py DIRECTORY FILES MIB: text with words as rare as in a language (Zipf), the same in every
run, and how often each word was written (DIRECTORY/written)."""
import os
import random
import sys

directory, files, mib = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(2026)
letters = "etaoinshrdlu"
words = sorted({"".join(chance.choice(letters) for _ in range(chance.randint(2, 10)))
                for _ in range(30000)})
weights = [1 / (rank + 3) for rank in range(len(words))]
# Blocks of known content are drawn once and repeated in another order in every file.
blocks = []
for _ in range(64):
    drawn = chance.choices(words, weights, k=10000)
    counts = {}
    for word in drawn:
        counts[word] = counts.get(word, 0) + 1
    lines = (" ".join(drawn[at:at + 12]) for at in range(0, len(drawn), 12))
    blocks.append((("\n".join(lines) + "\n").encode(), counts))
written = [0] * len(blocks)
for number in range(files):
    left = mib * 1048576 // files
    with open(os.path.join(directory, f"part-{number:02}"), "wb") as out:
        while left > 0:
            block = chance.randrange(len(blocks))
            out.write(blocks[block][0])
            written[block] += 1
            left -= len(blocks[block][0])
total = {}
for times, (_, counts) in zip(written, blocks):
    for word, count in counts.items():
        total[word] = total.get(word, 0) + times * count
with open(os.path.join(directory, "written"), "w") as out:
    out.writelines(f"{word} {count}\n" for word, count in sorted(total.items()) if count)
