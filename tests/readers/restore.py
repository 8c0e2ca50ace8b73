"""Turns a Delta table back with delta-rs, as another program may do beside Sandbar.

    restore.py TABLE VERSION
"""

import sys

from deltalake import DeltaTable


def main():
    table, version = sys.argv[1], int(sys.argv[2])
    DeltaTable(table).restore(version)


if __name__ == "__main__":
    main()
