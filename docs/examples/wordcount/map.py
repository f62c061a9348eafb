"""map.py WORKER WORKERS: counts the words of every WORKERS-th file of /text/in into /text/mapped."""
import collections
import os
import sys

worker, workers = int(sys.argv[1]), int(sys.argv[2])
counts = collections.Counter()
for name in sorted(os.listdir("/text/in"))[worker::workers]:
    with open(os.path.join("/text/in", name)) as lines:
        for line in lines:
            counts.update(line.split())
path = f"/text/mapped/{worker}"
with open(path + ".new", "w") as out:
    out.writelines(f"{word} {count}\n" for word, count in counts.items())
os.rename(path + ".new", path)
