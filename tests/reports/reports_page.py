"""A report as the tests see it."""

import html.parser
import re


class Page(html.parser.HTMLParser):
  """The parts of a page that the tests look at."""

  VOID = frozenset({"meta", "img", "source", "br"})

  def __init__(self, path):
    super().__init__()
    self.source = path.read_text(encoding="utf-8")
    self.images, self.links, self.tables = [], [], []
    self.words, self.open, self.unbalanced = [], [], []
    self.feed(self.source)
    self.text = re.sub(r"\s+", " ", " ".join(self.words))

  def handle_starttag(self, tag, attrs):
    attrs = dict(attrs)
    if tag not in self.VOID:
      self.open.append(tag)
    if tag == "img":
      self.images.append(attrs)
    self.links += [attrs[n] for n in ("src", "srcset", "href") if n in attrs]
    if tag == "table":
      self.tables.append([])
    elif tag == "tr":
      self.tables[-1].append([])
    elif tag in ("th", "td"):
      self.tables[-1][-1].append("")

  def handle_endtag(self, tag):
    if self.open.pop() != tag:
      self.unbalanced.append(tag)

  def handle_data(self, data):
    if "style" in self.open:
      return
    self.words.append(data)
    if {"td", "th"} & set(self.open):
      self.tables[-1][-1][-1] += data.strip() + " "

  def table(self, first: str):
    """Returns {first cell: other cells} of tables with this heading."""
    return [
      {r[0].strip(): [cell.strip() for cell in r[1:]] for r in table}
      for table in self.tables
      if any(row[0].strip() == first for row in table)
    ]
