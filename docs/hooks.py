"""What the site shows beyond `docs/`: the bundles' pages, without a copy, and links to the references."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file of `bundles/NAME/docs` as `bundles/NAME/FILE`."""
    bundles = Path(config.config_file_path).parent / "bundles"
    for path in sorted(bundles.glob("*/docs/**/*")):
        name, _, *rest = path.relative_to(bundles).parts
        if path.is_file():
            address = "/".join(["bundles", name, *rest])
            files.append(File.generated(config, address, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make `[KEY]` a link to the references, for every key of `references.bib`."""
    bibliography = (Path(config.docs_dir) / "references.bib").read_text(encoding="utf-8")
    target = posixpath.relpath("references.md", posixpath.dirname(page.file.src_uri) or ".")
    keys = re.findall(r"^@\w+\{(\w+),", bibliography, flags=re.MULTILINE)
    return "\n".join([markdown, "", *(f"[{key}]: {target}#{key}" for key in keys)])
