"""One module a contestant; each offers the tasks that it can do as functions of the same names.

``prepare(task, options)`` loads what is not to be timed and returns a function without arguments:
the timed work, which returns arrays by name. ``VERSION`` says what ran.
"""
