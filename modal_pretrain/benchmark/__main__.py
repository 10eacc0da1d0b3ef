"""Entry point of ``python -m modal_pretrain.benchmark``."""

import sys

from modal_pretrain.benchmark.cli import main

if __name__ == "__main__":
    sys.exit(main())
