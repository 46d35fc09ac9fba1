"""One run: what may be built, what is built, and how it trains."""
