import sys

from duogen.cli import main

sys.exit(main())
