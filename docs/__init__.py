"""The website: `make book` builds it into build/book.

build.py      runs Sphinx on what pages.py gathers, and follows every link
pages.py      the sources of all pages, gathered from where they are kept
notebooks.py  a stored notebook as a page: videos as files with posters and strips, answers folded
reference.py  the docstrings of helpers and ttnn_emulator as pages
links.py      finds links that lead nowhere, and anything that a page would fetch from elsewhere
verified.py   the day of the last successful weekly run, in words and as a badge
share.py      what other places show of a link to the site
clips.py      makes the clip of the first page
conf.py       Sphinx's settings; index.md, errata.md and changelog.md are pages; _static/ is copied

Nothing here imports ttnn or torch, except clips.py: the site is built from what is stored.
"""
