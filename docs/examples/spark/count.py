"""count.py FILE: how often each word is in FILE, counted by Spark's workers; prints the ten that are most
frequent."""
import re
import sys

from pyspark import SparkContext

context = SparkContext(appName="count")
counts = (context.textFile("file://" + sys.argv[1], 8)
          .flatMap(lambda line: re.findall("[a-z]+", line.lower(), re.ASCII))
          .map(lambda word: (word, 1))
          .reduceByKey(lambda a, b: a + b))
for word, count in counts.takeOrdered(10, key=lambda entry: (-entry[1], entry[0])):
    print(word, count)
context.stop()
