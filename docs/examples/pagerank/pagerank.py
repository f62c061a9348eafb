"""pagerank.py SUPERSTEPS OUTPUT: PageRank with Spark's RDDs. Prints how long each superstep took and how
many workers there were; writes all ranks."""
import sys
import time

from pyspark import SparkContext

sys.path.insert(0, "/srv/data")
import graph

supersteps, output = int(sys.argv[1]), sys.argv[2]
context = SparkContext(appName="pagerank")
context.addPyFile("/srv/data/graph.py")
parts = 8
links = (context.parallelize(range(graph.PAGES), parts)
         .map(lambda page: (page, graph.links_of(page))).partitionBy(parts).persist())
ranks = links.mapValues(lambda _: 1.0 / graph.PAGES)
for step in range(supersteps):
    started = time.time()
    shares = links.join(ranks, parts).flatMap(
        lambda entry: [(target, entry[1][1] / len(entry[1][0])) for target in entry[1][0]])
    base = (1 - graph.DAMPING) / graph.PAGES
    sums = shares.reduceByKey(lambda a, b: a + b, parts)
    ranks = links.leftOuterJoin(sums, parts).mapValues(
        lambda entry: base + graph.DAMPING * (entry[1] or 0.0)).persist()
    ranks.count()
    workers = context._jsc.sc().statusTracker().getExecutorInfos()
    print(f"superstep {step} {time.time() - started:.2f} {len(workers) - 1}", flush=True)
with open(output, "w") as out:
    out.writelines(f"{page} {rank!r}\n" for page, rank in sorted(ranks.collect()))
context.stop()
