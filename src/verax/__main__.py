"""`python -m verax` is `verax`."""

import sys

from verax.cli import main

sys.exit(main())
