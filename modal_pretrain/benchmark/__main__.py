"""``python -m modal_pretrain.benchmark`` is ``modal-pretrain bench``."""

import sys

from modal_pretrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
