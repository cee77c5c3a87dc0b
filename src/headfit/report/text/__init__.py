"""Every sentence that a run says: numbers in, words out.

One module for each subject. A function takes the object of ``results.json`` that holds the numbers
(a ``dict``), or the dataclass that will be written there, and returns plain English: the result
first, then the numbers, then what to do. Nothing is measured or decided here; statistics hold no
prose, and surfaces (the command line, notebooks, the page) compose these sentences.
"""
