# Images of a standalone Spark, for the examples that need one. Sourced after lib.sh.

# example-spark: a Debian with Java and PyPI's pyspark.
spark_image() {
  debian_image example-java openjdk-17-jre-headless,openssh-server,procps,python3
  begin "Spark of PyPI's pyspark $spark_version"
  local archive context=$root/spark-context
  archive=$(python_package pyspark $spark_version source)
  mkdir -p "$context/spark/python/lib" "$root/pyspark"
  tar -xzf "$archive" -C "$root/pyspark" --strip-components=1
  mv "$root"/pyspark/deps/{bin,sbin,jars} "$context/spark"
  mv "$root"/pyspark/pyspark "$context/spark/python"
  mv "$root"/pyspark/lib/*.zip "$context/spark/python/lib"
  cp "$top/docs/examples/pagerank/Dockerfile" "$context"
  vi build --quiet -t example-spark "$context" >/dev/null
  rm -rf "$context" "$root/pyspark"
  end
}

# spark-master:v1, spark-worker:v1, spark-driver:v1 from one file, in one build.
spark_role_images() {
  begin "images of Spark's master, worker and driver"
  vi build --quiet --build-arg BASE=example-spark --image master=spark-master:v1 \
    --image worker=spark-worker:v1 --image driver=spark-driver:v1 "$top/docs/examples/spark" >/dev/null
  end
}
spark_version=3.5.3
