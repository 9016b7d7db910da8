"""``python -m benchmarks``: the speed table."""

from benchmarks.speed.table import main

if __name__ == "__main__":
    main()
