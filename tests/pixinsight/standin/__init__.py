"""A program that behaves as PixInsight does, for tests.

It runs real scripts and computes real masters, but only as far as this workflow asks for them; it
is stricter than PixInsight where PixInsight would go on with a mistake.
"""
