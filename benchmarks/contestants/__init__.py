"""One module a contestant; each offers the tasks that it can do as functions of the same names.

A task's function takes inputs and options by keyword, loads what is not to be timed, and returns a
function without arguments: the timed work, which returns arrays by name. It returns None for a variant
that the contestant does not do. ``VERSION`` says what ran.
"""
