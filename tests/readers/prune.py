"""Asks a Delta table with readers that skip files by their statistics, and compares with all of its rows.

    prune.py TABLE SEED COLUMNS READER...        COLUMNS: a list with commas, or "all"; READER: duckdb, polars

For values that the table holds, of each column and of the fields of structs, each comparison is counted twice: by the
reader on the table, and by the same reader on a copy that has no statistics. The order of NaN and the like is a
reader's own affair; that both counts are the same is not.

One line of JSON for each: {"reader", "rows", "counted", "skips", "wrong"}. `skips` says whether the reader answers a question
about one `id` while the files of all others are gone; `wrong` lists the comparisons that differ.
"""

import json
import os
import random
import shutil
import sys
import tempfile
from urllib.parse import unquote

from read import extension_file

COMPARISONS = ["=", "<>", "<", "<=", ">", ">="]
VALUES = 6


def picked(values):
    """The outermost values and some others."""
    if len(values) <= VALUES:
        return values
    return values[:2] + random.sample(values[2:-2], VALUES - 4) + values[-2:]


def connected():
    import duckdb
    import duckdb_extension_delta
    import duckdb_extension_parquet

    db = duckdb.connect(config={"allow_unsigned_extensions": "true", "threads": "1"})
    for module in (duckdb_extension_parquet, duckdb_extension_delta):
        db.load_extension(extension_file(module))
    db.execute("SET TimeZone = 'UTC'")
    return db


def duckdb(table, asked):
    db = connected()
    scan = f"delta_scan('{table}')"
    db.execute(f"CREATE TABLE whole AS SELECT * FROM {scan}")
    yield None, db.execute("SELECT count(*) FROM whole").fetchone()

    def count(source, condition, parameters):
        return db.execute(f"SELECT count(*) FROM {source} WHERE {condition}", parameters).fetchone()[0]

    def columns():
        for name, kind, *_ in db.execute("DESCRIBE whole").fetchall():
            if kind.startswith("STRUCT"):
                fields = db.execute(f'DESCRIBE SELECT unnest("{name}") FROM whole').fetchall()
                yield from ((f"{name}.{field}", kind) for field, kind, *_ in fields)
            elif not kind.endswith("[]") and not kind.startswith("MAP"):
                yield name, kind

    for name, kind in filter(lambda column: asked(column[0]), list(columns())):
        column = ".".join(f'"{part}"' for part in name.split("."))
        text = kind in ("VARCHAR", "BLOB")
        shown = column if text else f"CAST({column} AS VARCHAR)"
        values = f"SELECT {shown} FROM whole WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY {column}"
        literal = "?" if text else f"CAST(? AS {kind})"
        for (value,) in picked(db.execute(values).fetchall()):
            # duckdb puts each NaN last, the kernel that skips files for it this one first.
            if kind in ("FLOAT", "DOUBLE") and value == "-nan":
                continue
            for comparison in COMPARISONS:
                condition = f"{column} {comparison} {literal}"
                found = [count(source, condition, [value]) for source in (scan, "whole")]
                yield condition.replace("?", repr(value)), found
        for condition in (f"{column} IS NULL", f"{column} IS NOT NULL"):
            yield condition, [count(source, condition, []) for source in (scan, "whole")]


def polars(table, asked):
    import polars

    whole = polars.scan_delta(table).collect()
    yield None, [whole.height]

    def columns():
        for name, kind in whole.schema.items():
            if isinstance(kind, polars.Struct):
                for field in kind.fields:
                    yield f"{name}.{field.name}", polars.col(name).struct.field(field.name), field.dtype
            elif not isinstance(kind, (polars.List, polars.Array)):
                yield name, polars.col(name), kind

    def found(condition):
        lazy = polars.scan_delta(table).filter(condition).select(polars.len())
        return [lazy.collect().item(), whole.filter(condition).height]

    for name, column, kind in filter(lambda column: asked(column[0]), columns()):
        values = whole.select(column.alias("value")).to_series().drop_nulls().unique().sort()
        for value in picked(values.to_list()):
            literal = polars.lit(value, dtype=kind)
            conditions = {
                "=": column == literal,
                "<>": column != literal,
                "<": column < literal,
                "<=": column <= literal,
                ">": column > literal,
                ">=": column >= literal,
            }
            for comparison in COMPARISONS:
                yield f"{name} {comparison} {value!r}", found(conditions[comparison])
        yield f"{name} IS NULL", found(column.is_null())
        yield f"{name} IS NOT NULL", found(column.is_not_null())


def skips(reader, table):
    """Asks for the first id where nothing but its file is left."""
    log = os.path.join(table, "_delta_log")
    adds = []
    for name in sorted(os.listdir(log)):
        if name.endswith(".json"):
            with open(os.path.join(log, name)) as lines:
                adds += [line["add"] for line in map(json.loads, lines) if "add" in line]
    first = min(json.loads(add["stats"])["minValues"]["id"] for add in adds)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(table, folder, dirs_exist_ok=True)
        for add in adds:
            if json.loads(add["stats"])["minValues"]["id"] != first:
                os.remove(os.path.join(folder, unquote(add["path"])))
        try:
            return SINGLE[reader](folder, first) == 1
        except Exception:
            return False


def duckdb_single(table, value):
    return connected().execute(f"SELECT count(*) FROM delta_scan('{table}') WHERE id = {value}").fetchone()[0]


def polars_single(table, value):
    import polars

    return polars.scan_delta(table).filter(polars.col("id") == value).select("id").collect().height


SINGLE = {"duckdb": duckdb_single, "polars": polars_single}


def main():
    table = os.path.abspath(sys.argv[1])
    columns = sys.argv[3].split(",")
    readers = {"duckdb": duckdb, "polars": polars}
    for reader in sys.argv[4:]:
        random.seed(sys.argv[2])
        rows, counted, wrong = 0, 0, []
        for condition, found in readers[reader](table, lambda column: column in columns or columns == ["all"]):
            if condition is None:
                (rows,) = found
                continue
            counted += 1
            if found[0] != found[1]:
                wrong.append(f"{condition}: {found[0]} instead of {found[1]}")
        answer = {"reader": reader, "rows": rows, "counted": counted, "skips": skips(reader, table), "wrong": wrong}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
