"""``python -m standin BEHAVIOUR.json ARGUMENT...``."""

import sys

from standin.program import main

sys.exit(main())
