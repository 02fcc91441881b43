"""Bad and odd inputs, each with what must become of it.

    entry.py      what an entry is, and which outcomes there are
    world.py      three good patients on a disk, of whom entries spoil one
    harness.py    runs doctor, prediction and training, and compares results
    judge.py      whether an outcome is the expected one
    NAME.py       the entries of a family or two
    table.py      all entries, and the sample of make test
    run.py        make corpus; document.py writes docs/robustness.md

An entry is a line of its family's table: what it is called, the input in a few
words, a function that spoils a `World`, and what must become of it.
"""
