"""The HTML page as a reader of HTML sees it."""

import json
import re
from html.parser import HTMLParser

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tables as rows of (text, attributes) cells; charts as JSON, other scripts by id; tags. Without the parts for each
    task and for two models, which have tests of their own."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self.charts, self.scripts, self._cell = [], [], [], {}, None
        self.feed(re.sub(r'<section aria-labelledby="(?:tasks|two-models)">.*?</section>', "", text, flags=re.DOTALL))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self._cell = ["", dict(attrs)]
            self.tables[-1][-1].append(self._cell)
        elif tag == "script":
            self._name = dict(attrs).get("id", dict(attrs).get("type", "code"))
            if self._name == "application/json":
                self.charts.append("")
            else:
                self.scripts.setdefault(self._name, []).append("")
        elif tag == "button" and self._cell and "data-entry" in dict(attrs):
            self._cell[1]["entry"] = int(dict(attrs)["data-entry"])
        elif tag in ("strong", "u", "em") and self._cell:
            self._cell[1][tag] = True

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self._cell = None

    def handle_data(self, data):
        if self.cdata_elem == "script":
            (self.charts if self._name == "application/json" else self.scripts[self._name])[-1] += data
        if self._cell:
            self._cell[0] = " ".join(f"{self._cell[0]} {data}".split())

    @property
    def provenance(self):
        return json.loads("".join(self.scripts["provenance"]))

    def opened(self, entry):
        """The lines that a button opens: {"" for its own, or a group's name: {name: text}}."""
        title, own, shared = self.provenance["entries"][entry]
        groups = self.provenance["groups"]
        return title, {"": dict(own), **{groups[place][0]: dict(groups[place][1]) for place in shared}}
