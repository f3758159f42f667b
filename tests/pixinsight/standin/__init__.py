"""A program that behaves as PixInsight does, for tests.

It runs real scripts and computes real masters, with the functions that this workflow uses. It is
stricter than PixInsight where that would continue after a mistake.
"""
