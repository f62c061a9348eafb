"""reduce.py: adds /text/mapped up to /text/counted."""
import collections
import os

total = collections.Counter()
for name in os.listdir("/text/mapped"):
    with open(os.path.join("/text/mapped", name)) as lines:
        for line in lines:
            word, count = line.split()
            total[word] += int(count)
with open("/text/counted", "w") as out:
    out.writelines(f"{word} {count}\n" for word, count in sorted(total.items()))
