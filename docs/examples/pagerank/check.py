"""check.py SUPERSTEPS RANKS: the same ranks in plain Python; prints the largest difference."""
import sys

import graph

supersteps = int(sys.argv[1])
links = [graph.links_of(page) for page in range(graph.PAGES)]
ranks = [1.0 / graph.PAGES] * graph.PAGES
for _ in range(supersteps):
    sums = [0.0] * graph.PAGES
    for page, targets in enumerate(links):
        for target in targets:
            sums[target] += ranks[page] / len(targets)
    ranks = [(1 - graph.DAMPING) / graph.PAGES + graph.DAMPING * added for added in sums]
with open(sys.argv[2]) as lines:
    ranked = dict(line.split() for line in lines)
assert len(ranked) == graph.PAGES, len(ranked)
worst = max(abs(float(ranked[str(page)]) - rank) / rank for page, rank in enumerate(ranks))
assert worst < 1e-9, worst
best = max(range(graph.PAGES), key=ranks.__getitem__)
print(f"page {best} first, ranks differ by {worst:.0e} at most")
