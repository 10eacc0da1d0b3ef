"""``python -m modal_pretrain`` is ``modal-pretrain``."""

import sys

from modal_pretrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
