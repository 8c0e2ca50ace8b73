"""Appends comments to a Delta table with delta-rs, as another program may do beside Sandbar.

    append.py TABLE FIRST_ID COUNT
"""

import sys

import pyarrow
from deltalake import write_deltalake


def main():
    table, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ids = range(first, first + count)
    rows = {
        "id": pyarrow.array(ids, pyarrow.int32()),
        "name": [f"name {id}" for id in ids],
        "email": [f"user{id}@example.com" for id in ids],
        "body": [f"first line of {id}\nsecond line" for id in ids],
    }
    write_deltalake(table, pyarrow.table(rows), mode="append")


if __name__ == "__main__":
    main()
