"""Sphinx's settings. `make book` runs Sphinx on build/pages, where docs/build.py gathers the sources.

Why Sphinx with myst-nb and sphinx-book-theme: it shows stored outputs without running anything, builds in seconds
without a network, and its theme brings search, dark mode and narrow screens, with all scripts and fonts in the wheel.
What else was looked at: mystmd and Jupyter Book 2 fetch their theme from elsewhere when they build; nbconvert makes
single pages, without search or contents, that load MathJax and require.js from elsewhere; sphinx-autoapi took 44 s for
the reference and warned about docstrings that are no reStructuredText, so docs/reference.py reads them as what they
are, plain text, in a second.
"""

import dataclasses
import json
import os
import subprocess
import tomllib
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

from docs import share, verified
from ttnn_emulator.systems import SYSTEMS

root = Path(__file__).resolve().parent.parent
project, author = "Video on the Mesh", "the contributors to Video on the Mesh"
copyright = f"{author}, Apache-2.0"
language = "en"
release = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_nb", "sphinx_copybutton", "sphinx_design", "sphinxext.opengraph"]
nb_execution_mode = "off"  # what is stored is shown
nb_ipywidgets_js = {}  # widgets are pictures here; nothing is loaded from elsewhere
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the answer", "Hide the answer"
myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # two models may each have a Prompt


def repository() -> str:
    """The project's page on its forge, which links to report something need; empty where nothing names one."""
    if os.environ.get("GITHUB_REPOSITORY"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{os.environ['GITHUB_REPOSITORY']}"
    asked = subprocess.run(["git", "remote", "get-url", "origin"], cwd=root, capture_output=True, text=True)
    url = asked.stdout.strip().removesuffix(".git")
    return url if url.startswith("https://github.com/") else ""


source = repository() and f"All of it is [here]({repository()}), to clone."
myst_substitutions = {"verified": verified.sentence(), "source": source}

# Each page's head says what it is, for search engines and for who shares a link: the first lines of its text.
ogp_site_url = html_baseurl = share.address()
ogp_site_name = project
ogp_image = ogp_site_url and "share.jpg"  # has to be named with its whole address
ogp_image_alt = "A red butterfly on a blue flower, and what each of 32 chips paints of it"
ogp_social_cards = {"enable": False}

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_extra_path = [str(root / "build" / "media")]
html_css_files = ["book.css"]
explorer = f"const SYSTEMS = {json.dumps([*map(dataclasses.asdict, SYSTEMS.values())])}"
html_js_files = [
    (None, {"body": f"{explorer}, REPOSITORY = {json.dumps(repository())};"}),
    ("book.js", {"defer": "defer"}),
]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # light or dark as the reader's system says
html_theme_options = {
    "navbar_persistent": [],  # the sidebar has a search field already
    "use_download_button": True,
    "use_fullscreen_button": False,
    "repository_url": repository(),
    "use_repository_button": bool(repository()),
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def setup(app):
    """Formulas become MathML, which browsers draw themselves: no script, no fonts."""

    def inline(self, node):
        self.body.append(convert(node.astext()))
        raise SkipNode

    def block(self, node):
        self.body.append(convert(node.astext(), display="block"))
        raise SkipNode

    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))


html_math_renderer = "mathml"
