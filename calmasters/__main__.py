"""``python -m calmasters``: the command ``calmasters``, where it is not in PATH."""

import sys

from calmasters.commands.command_line import main

if __name__ == "__main__":
    sys.exit(main())
