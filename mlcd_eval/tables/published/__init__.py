"""The numbers that others published: tables of papers, and the atlas of public results."""

from mlcd_eval.tables.published.dialect import Dialect
from mlcd_eval.tables.published.number import PRINTED_MEAN, PublishedNumber, Table
from mlcd_eval.tables.published.query import groups, published_numbers, published_table, rows_named, select, tables

__all__ = [
    "PRINTED_MEAN",
    "Dialect",
    "PublishedNumber",
    "Table",
    "groups",
    "published_numbers",
    "published_table",
    "rows_named",
    "select",
    "tables",
]
