"""The static site of the course, which is the report of `make course` as well.

It is built by Sphinx with MyST-NB and sphinx-book-theme. It opens from a folder or a server, and
asks the network for nothing: formulas are MathML, fonts and scripts are among its files.
"""

from cnnlab.site.build import Entry, build_report, build_site

__all__ = ["Entry", "build_report", "build_site"]
