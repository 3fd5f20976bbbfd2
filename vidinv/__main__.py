"""`python -m vidinv`."""

import sys

from vidinv.cli.main import main

sys.exit(main())
