"""The reference: every public function and class with its signature and docstring, read without importing anything.

One page a package, in Markdown. Docstrings here are plain text: their lines are kept, and what is indented or set in
columns stands as it is.
"""

import ast
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

COLUMNS = re.compile(r"\S {3,}\S")  # a table made with spaces
NAMED = re.compile(r"\n(?=[\w, ]{1,30}: )")  # before a line that says what one argument is
SPECIAL = re.compile(r"(`[^`]*`)|([\\*_<\[\]$#|{}~^])")


def pages(root: Path, packages: Iterable[str]) -> dict[str, str]:
    """File name -> text: a page for each package (a folder below root), and an index of them."""
    made = {}
    for package in packages:
        texts = [module(path, root) for path in sorted((root / package).glob("*.py"))]  # __init__.py sorts first
        made[package.replace("/", ".")] = "\n\n".join([f"# {package.replace('/', '.')}", *filter(None, texts)])
    head = (
        "# Reference\n\nWhat the notebooks import, and the emulator below it: all that is public, from the docstrings."
    )
    made["index"] = "\n".join([head, "", "```{toctree}", *made, "```"])
    return {f"{name}.md": text + "\n" for name, text in made.items()}


def module(path: Path, root: Path) -> str:
    """One module: what it is for, then what is public in it. A package's __init__.py stands under the page's title."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.name == "__init__.py"
    name = ".".join((path.parent if package else path.with_suffix("")).relative_to(root).parts)
    text, entries = documentation(tree), [entry for node in tree.body if (entry := describe(node, name))]
    if not (text or entries):
        return ""
    return "\n\n".join(["" if package else f"## {name}", text, f":::::{{py:module}} {name}\n:::::", *entries])


def describe(node: ast.AST, module: str) -> str:
    """A function, or a class with its methods, as a directive of Sphinx's Python domain. Empty for what is private."""
    if not public(node):
        return ""
    if not isinstance(node, ast.ClassDef):
        return directive("::::", "function", signature(node), f":module: {module}\n\n" + documentation(node))
    methods = [
        directive(":::", "method", signature(child), documentation(child)) for child in node.body if method(child)
    ]
    text = "\n\n".join([documentation(node), *methods])
    return directive("::::", "class", node.name + fields(node), f":module: {module}\n\n{text}")


def directive(fence: str, kind: str, head: str, text: str) -> str:
    return f"{fence}{{py:{kind}}} {head}\n{text}\n{fence}"


def public(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_")


def method(node: ast.AST) -> bool:
    return public(node) and not isinstance(node, ast.ClassDef)


def documentation(node: ast.AST) -> str:
    return markdown(ast.get_docstring(node) or "")


def signature(node: ast.FunctionDef) -> str:
    """As it is written, without `self`."""
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))
    return f"{node.name}({arguments})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def fields(node: ast.ClassDef) -> str:
    """What a class is made from: __init__'s arguments, or a dataclass's fields."""
    start = next(
        (child for child in node.body if isinstance(child, ast.FunctionDef) and child.name == "__init__"), None
    )
    if start:
        return signature(start).removeprefix("__init__").removesuffix(" -> None")
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return ""
    named = [ast.unparse(child) for child in node.body if isinstance(child, ast.AnnAssign)]
    return f"({', '.join(re.sub(r' = field.*', ' = ...', field) for field in named)})"


def markdown(docstring: str) -> str:
    """Plain text as Markdown: what is indented or set in columns becomes code, `name: ...` begins a line."""
    blocks = re.split(r"\n\s*\n", docstring.strip("\n"))
    return "\n\n".join(block(text) for text in blocks if text.strip())


def block(text: str) -> str:
    lines = text.splitlines()
    if all(line.startswith("    ") for line in lines) or any(COLUMNS.search(line) for line in lines):
        return f"```text\n{textwrap.dedent(text)}\n```"
    escaped = (SPECIAL.sub(lambda found: found[1] or "\\" + found[2], line.strip()) for line in lines)
    return NAMED.sub("\\\\\n", "\n".join(escaped))
