"""Implicit-feedback ALS on Spark, for more interactions than one machine holds.

    spark-submit workflow/spark/als.py --interactions interactions.parquet --out factors

Reads Parquet with a column of users and one of items, fits ``pyspark.ml.recommendation.ALS`` (Hu et
al., ICDM 2008), and writes ``users.parquet`` and ``items.parquet`` into the folder ``--out``:
columns ``id`` (as in the data), ``features`` (``--rank`` float32 numbers) and ``frequency`` (of the
entity's interactions). ``bet pack`` reads them. Paths may be anything that Spark opens.

Needs PySpark and NumPy (requirements/spark.txt) and Java, nothing of this project. ``--local 2``
runs it without a cluster, on two cores of this machine.
"""

import argparse
import os
import re
import shutil
import sys

SIDES = ("user", "item")
WHOLE = ("tinyint", "smallint", "int", "bigint")  # Spark's names of types
PLACE_BITS = 33  # of monotonically_increasing_id: the row within its partition
MOST_IDS = 2**31 - 1  # Spark's ALS numbers entities by int32


class InputError(ValueError):
    """Input or a machine that nothing can be computed with; says what to do."""


def parser():
    """The command line."""
    about = (__doc__ or "").split("\n\n")[0]
    made = argparse.ArgumentParser(prog="als.py", description=about, allow_abbrev=False)
    made.add_argument("--interactions", required=True, help="Parquet, a row per interaction")
    made.add_argument("--out", required=True, help="folder for the factors; must not have any")
    for side in SIDES:
        name = f"--{side}-column"
        made.add_argument(name, default=side, help=f"with the {side}s (default: %(default)s)")
    made.add_argument("--rank", type=int, default=64, help="numbers per entity (default: 64)")
    made.add_argument(
        "--alpha", type=float, default=10.0, help="weight of an interaction (default: 10)"
    )
    made.add_argument(
        "--l2", type=float, default=0.1, help="regParam, per interaction of a row (default: 0.1)"
    )
    made.add_argument("--iterations", type=int, default=10, help="over both sides (default: 10)")
    made.add_argument("--seed", type=int, default=0, help="of the first numbers (default: 0)")
    made.add_argument(
        "--blocks", type=int, default=10, help="parts of either side (default: 10; more: less RAM)"
    )
    made.add_argument("--local", type=int, metavar="CORES", help="run here, without a cluster")
    return made


def check_options(options):
    """Raise InputError on numbers that ALS cannot take and on a machine without Java."""
    for name in ("rank", "iterations", "blocks", "local"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} must be at least 1, got {value}")
    for name in ("alpha", "l2"):
        value = getattr(options, name)
        if not 0 <= value < float("inf"):
            raise InputError(f"--{name} must be at least 0 and finite, got {value}")
    if options.user_column == options.item_column:
        raise InputError(f"column {options.user_column!r} cannot hold both users and items")
    if not os.environ.get("JAVA_HOME") and not shutil.which("java"):
        raise InputError("Spark needs Java: install openjdk-17-jre-headless or set JAVA_HOME")


def start(options):
    """The Spark session; a local one opens no port to other machines."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("bet als")
    if options.local:
        builder = builder.master(f"local[{options.local}]")
        local = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
        # As many parts as cores: the default, 200, is for clusters.
        local |= {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": options.local}
        for name, value in local.items():
            builder = builder.config(name, value)
    builder = builder.config("spark.ui.showConsoleProgress", str(sys.stderr.isatty()).lower())
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def folder_of(session, path):
    """A Hadoop file system and ``path`` on it: local, HDFS or an object store."""
    where = session._jvm.org.apache.hadoop.fs.Path(path)
    return where.getFileSystem(session._jsc.hadoopConfiguration()), where


def read_pairs(session, options):
    """Distinct pairs, columns ``user`` and ``item``; raises InputError where there are none, where
    a column is missing or of another type, and on an id that is missing.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as sql

    path = options.interactions
    try:
        read = session.read.parquet(path)
    except (PySparkException, Py4JError) as error:
        why = re.search(r"\[[A-Z_.]+\][^\n]*", str(error))  # what Spark calls it, in a line
        raise InputError(f"{path}: not readable; {why[0] if why else error}") from error
    types = dict(read.dtypes)
    for side in SIDES:
        name = getattr(options, f"{side}_column")
        if name not in types:
            raise InputError(
                f"{path}: no column {name!r}; it has {', '.join(types)}; give --{side}-column"
            )
        if types[name] not in ("string", *WHOLE):
            raise InputError(
                f"{path}: column {name!r} is of type {types[name]}; ids are text or whole numbers"
            )
    columns = [sql.col(f"`{getattr(options, f'{side}_column')}`").alias(side) for side in SIDES]
    pairs = read.select(*columns)
    if not pairs.head(1):
        raise InputError(f"{path}: no rows; give at least one interaction")
    if pairs.filter("user IS NULL OR item IS NULL").head(1):
        raise InputError(f"{path}: an id is missing; fill it in or remove the row")
    return pairs.distinct()


def number_ids(pairs, side):
    """Every id of ``side`` once: columns ``id``, ``frequency`` and ``<side>_number``, 0 to n - 1 in
    no particular order. Raises InputError where there are more than int32 numbers.
    """
    from pyspark.sql import functions as sql

    counted = pairs.groupBy(sql.col(side).alias("id")).agg(sql.count("*").alias("frequency"))
    # A checkpoint: computed twice, a partition might hold its rows in another order.
    placed = counted.withColumn("place", sql.monotonically_increasing_id()).checkpoint()
    part = sql.shiftright("place", PLACE_BITS)
    moves, n = [], 0  # of the places in every partition
    for row in placed.groupBy(part.alias("part")).count().orderBy("part").collect():
        moves.append((row["part"], n - (row["part"] << PLACE_BITS)))
        n += row["count"]
    if n > MOST_IDS:
        raise InputError(f"{n:,} {side}s; Spark's ALS takes at most {MOST_IDS:,}")
    moved = pairs.sparkSession.createDataFrame(moves, "part long, move long")
    number = (sql.col("place") + sql.col("move")).cast("int").alias(f"{side}_number")
    joined = placed.withColumn("part", part).join(sql.broadcast(moved), "part")
    return joined.select("id", "frequency", number), n


def fit(session, options, work):
    """Read, fit and write the factors into the folder ``work``; returns how many, in words."""
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import functions as sql

    pairs = read_pairs(session, options)
    session.sparkContext.setCheckpointDir(f"{work}/checkpoints")
    pairs = pairs.checkpoint()
    numbered, counts = {}, {}
    for side in SIDES:
        numbered[side], counts[side] = number_ids(pairs, side)
    matrix = pairs
    for side in SIDES:
        ids = numbered[side].select(sql.col("id").alias(side), f"{side}_number")
        matrix = matrix.join(ids, side)
    n_pairs = pairs.count()
    size = f"{counts['user']:,} users, {counts['item']:,} items, {n_pairs:,} interactions"
    print(f"fitting {options.rank} numbers per entity to {size}", flush=True)
    als = ALS(
        implicitPrefs=True,
        rank=options.rank,
        alpha=options.alpha,
        regParam=options.l2,
        maxIter=options.iterations,
        seed=options.seed,
        numUserBlocks=options.blocks,
        numItemBlocks=options.blocks,
        userCol="user_number",
        itemCol="item_number",
        ratingCol="rating",
    )
    model = als.fit(matrix.select("user_number", "item_number", sql.lit(1.0).alias("rating")))
    for side, factors in zip(SIDES, (model.userFactors, model.itemFactors), strict=True):
        rows = factors.withColumnRenamed("id", f"{side}_number").join(
            numbered[side], f"{side}_number"
        )
        rows.select("id", "features", "frequency").write.parquet(f"{work}/{side}s.parquet")
    return size


def run(session, options):
    """Fit, then move the factors into ``options.out``: both are there, or neither. Raises
    InputError where some are there already.
    """
    work = f"{options.out}/_work"
    for side in SIDES:
        system, path = folder_of(session, f"{options.out}/{side}s.parquet")
        if system.exists(path):
            raise InputError(f"{path.toString()} is there already; name another folder")
    try:
        size = fit(session, options, work)
        for side in SIDES:
            system, path = folder_of(session, f"{work}/{side}s.parquet")
            system.rename(path, folder_of(session, options.out)[1])
    finally:
        system, path = folder_of(session, work)
        system.delete(path, True)
    print(f"{options.out}: users.parquet and items.parquet of {size}")


def main(arguments=None):
    """The command; returns its exit status."""
    options = parser().parse_args(arguments)
    try:
        check_options(options)
        session = start(options)
        try:
            run(session, options)
        finally:
            session.stop()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
