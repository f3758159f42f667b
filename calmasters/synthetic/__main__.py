"""Write an example session: ``python -m calmasters.synthetic``."""

from __future__ import annotations

from calmasters.synthetic.session import main

main()
