"""Reads a Delta table with readers that share nothing with the writer, and prints what each one saw.

    read.py TABLE READER...        READER: duckdb, chdb, deltalake, polars

TABLE is a folder, or for deltalake and polars an s3:// address, with the store described by AWS_* variables.

One line of JSON for each: {"reader", "rows", "distinct_ids", "min", "max", "columns", "hash", "ingested"}. `hash` is
the sum modulo 2**64 of each row's hash, so it does not depend on the order; see `row_hash`. `ingested` has the
smallest and the largest `current_ts`, in microseconds, where there is such a column.
"""

import hashlib
import json
import os
import sys

COLUMNS = ["id", "name", "email", "body"]
INGESTED = "current_ts"


def duckdb(table):
    import duckdb
    import duckdb_extension_delta
    import duckdb_extension_parquet

    db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for module in (duckdb_extension_parquet, duckdb_extension_delta):
        db.load_extension(extension_file(module))
    db.execute("SET TimeZone = 'UTC'")
    scan = f"delta_scan('{table}')"
    names = [row[0] for row in db.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()]
    rows = db.execute(f"SELECT {', '.join(COLUMNS)} FROM {scan}").fetchall()
    ingested = None
    if INGESTED in names:
        ends = f"epoch_us(min({INGESTED})), epoch_us(max({INGESTED})), count({INGESTED})"
        ingested = list(db.execute(f"SELECT {ends} FROM {scan}").fetchone())
    return names, rows, ingested


def extension_file(module):
    for folder, _, files in os.walk(os.path.dirname(module.__file__)):
        for file in files:
            if file.endswith(".duckdb_extension"):
                return os.path.join(folder, file)
    raise FileNotFoundError(f"no extension in {module.__name__}")


def chdb(table):
    # Its own code reads the log, not delta-kernel-rs. It insists that the working folder contains the table.
    os.chdir(os.path.dirname(table))
    import chdb

    settings = "SETTINGS allow_experimental_delta_kernel_rs=0"
    scan = f"deltaLakeLocal('{table}')"

    def query(text):
        answer = str(chdb.query(f"{text} {settings}", "JSONCompactEachRow"))
        return [json.loads(line) for line in answer.splitlines()]

    names = [row[0] for row in query(f"DESCRIBE TABLE {scan}")]
    rows = query(f"SELECT {', '.join(COLUMNS)} FROM {scan}")
    ingested = None
    if INGESTED in names:
        micros = f"toUnixTimestamp64Micro(assumeNotNull({INGESTED}))"
        ends = query(f"SELECT min({micros}), max({micros}), count({INGESTED}) FROM {scan}")[0]
        ingested = [int(end) for end in ends]
    return names, rows, ingested


def deltalake(table):
    from deltalake import DeltaTable, QueryBuilder

    query = QueryBuilder().register("t", DeltaTable(table, storage_options=store())).execute("SELECT * FROM t").read_all()
    import pyarrow

    return of_arrow(pyarrow.table(query))


def polars(table):
    import polars

    return of_arrow(polars.scan_delta(table, storage_options=store()).collect().to_arrow())


def store():
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def of_arrow(table):
    rows = list(zip(*(table.column(name).to_pylist() for name in COLUMNS)))
    ingested = None
    if INGESTED in table.column_names:
        import pyarrow

        column = table.column(INGESTED).cast(pyarrow.timestamp("us", tz="UTC")).cast(pyarrow.int64())
        values = [value for value in column.to_pylist() if value is not None]
        ingested = [min(values), max(values), len(values)]
    return table.column_names, rows, ingested


def row_hash(row):
    text = "\x1f".join("\x00" if value is None else str(value) for value in row)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def main():
    table = sys.argv[1] if "://" in sys.argv[1] else os.path.abspath(sys.argv[1])
    readers = {"duckdb": duckdb, "chdb": chdb, "deltalake": deltalake, "polars": polars}
    for reader in sys.argv[2:]:
        names, rows, ingested = readers[reader](table)
        ids = [row[0] for row in rows]
        seen = {
            "reader": reader,
            "rows": len(rows),
            "distinct_ids": len(set(ids)),
            "min": min(ids, default=None),
            "max": max(ids, default=None),
            "columns": sorted(names),
            "hash": sum(map(row_hash, rows)) % 2**64,
            "ingested": ingested,
        }
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
