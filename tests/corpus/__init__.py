"""Bad and odd inputs, each with what must become of it.

    entry.py      what an entry is, and which outcomes there are
    world.py      three good patients on a disk, of whom entries spoil one
    harness.py    runs doctor, prediction and training, and judges them
    NAME.py       the entries of a family or two
    document.py   docs/robustness.md

An entry is a line of its family's table: what it is called, the input in a few
words, a function that spoils a `World`, and what must become of it.
"""
