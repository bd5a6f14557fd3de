"""`python -m rung.cli`."""

from __future__ import annotations

import sys

from rung.cli.main import main

sys.exit(main())
