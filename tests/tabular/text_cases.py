"""Small text files with their right outcome: the values of every column, or words of the message."""

from typing import NamedTuple


class Case(NamedTuple):
    """Content of a file, the options of reading and of the schema, and the outcome: values by column, or words."""

    content: str | bytes
    outcome: dict | tuple
    reading: dict = {}  # noqa: RUF012
    wishes: dict = {}  # noqa: RUF012


AB = {"a": [1.0, 2.0], "b": ["u", "v"]}
FORM = {
    "comma": Case("a,b\n1,u\n2,v\n", AB),
    "semicolon": Case("a;b\n1;u\n2;v\n", AB),
    "tab": Case("a\tb\n1\tu\n2\tv\n", AB),
    "vertical bar": Case("a|b\n1|u\n2|v\n", AB),
    "one space": Case("a b\n1 u\n2 v\n", AB),
    "white space of any length": Case("a    b\n 1    u\n20 \t v\n", {"a": [1.0, 20.0], "b": ["u", "v"]}),
    "a separator named": Case("a:b\n1:u\n2:v\n", AB, {"separator": ":"}),
    "the tab named": Case("a\tb\n1\tu\n2\tv\n", AB, {"separator": "tab"}),
    "a bad separator": Case("a,b\n1,u\n", ("separator", "one character"), {"separator": ",,"}),
    "Excel's own line": Case("sep=;\na;b\n1;u\n2;v\n", AB),
    "spaces behind commas": Case("a, b\n1, u\n2, v\n", AB),
    "semicolons within texts": Case("a,b\n1,u;v\n2,v;u\n", {"a": [1.0, 2.0], "b": ["u;v", "v;u"]}),
    "texts of two words": Case("a,b\nNew York,u\nSan Diego,v\n", {"a": ["New York", "San Diego"], "b": ["u", "v"]}),
    "auto-mpg": Case(
        '18.0   8   307.0\t"chevrolet malibu"\n15.0   4   350.0\t"buick skylark"\n16.0   6   304.0\t"amc rebel"\n',
        {
            "0": [18, 15, 16],
            "1": [8, 4, 6],
            "2": [307, 350, 304],
            "3": ["chevrolet malibu", "buick skylark", "amc rebel"],
        },
    ),
    "R's names of rows": Case("x y\nr1 5 u\nr2 6 v\n", {"unnamed 0": ["r1", "r2"], "x": [5.0, 6.0], "y": ["u", "v"]}),
    "CR LF": Case("a,b\r\n1,u\r\n2,v\r\n", AB),
    "CR alone": Case("a,b\r1,u\r2,v\r", AB),
    "CR CR LF": Case("a,b\r\r\n1,u\r\r\n2,v\r\r\n", AB),
    "no end of the last line": Case("a,b\n1,u\n2,v", AB),
    "blank lines at the end": Case("a,b\n1,u\n2,v\n\n\n  \n", AB),
    "blank lines at the top": Case("\n\na,b\n1,u\n2,v\n", AB),
    "a blank line between rows": Case("a,b\n1,u\n\n2,v\n", {"a": [1.0, None, 2.0], "b": ["u", None, "v"]}),
    "a row of empty cells": Case("a,b\n1,u\n,\n2,v\n", {"a": [1.0, None, 2.0], "b": ["u", None, "v"]}),
    "a row of empty cells at the end": Case("a\tb\n1\tu\n2\tv\n\t\n", {"a": [1.0, 2.0, None], "b": ["u", "v", None]}),
    "a row of empty cells at the top": Case(
        "\t\n7\tu\n8\tv\n9\tu\n8\tv\n", {"0": [None, 7, 8, 9, 8], "1": [None, *"uvuv"]}
    ),
    "empty cells above the names": Case(
        ",,\na,c,b\n1,5,u\n2,6,v\n3,6,v\n", {"a": [1, 2, 3], "c": [5, 6, 6], "b": list("uvv")}
    ),
    "trailing separators": Case("a,b,\n1,u,\n2,v,\n", AB),
    "trailing separators below the names": Case("a,b\n1,u,\n2,v,\n", AB),
    "trailing separators in the names": Case("a,b,,\n1,u\n2,v\n", AB),
    "trailing separators without names": Case(
        "1,u,\n2,v,\n3,u,\n4,v,\n", {"0": [1, 2, 3, 4], "1": ["u", "v", "u", "v"]}
    ),
    "comments at the top": Case("# made by x\n# in 2020, with y\na,b\n1,u\n2,v\n", AB),
    "a comment among the rows": Case("a,b\n1,u\n# c\n2,v\n", AB),
    "a comment below the names": Case("a,b\n# c\n1,u\n2,v\n", AB),
    "a comment with as many cells": Case("a,b\n# c, d\n# e\n1,u\n2,v\n", ("line 2", '"# c"')),
    "names in a comment": Case("# x y\n1 2\n3 4\n5 6\n", {"x": [1.0, 3.0, 5.0], "y": [2, 4, 6]}),
    "colours are no comments": Case(
        "#f00,u\n#0f0,v\n#00f,u\n#0ff,v\n", {"0": ["#f00", "#0f0", "#00f", "#0ff"], "1": list("uvuv")}
    ),
    "rows that begin with # above others": Case(
        "#f,1,u\n#g,2,v\nh,3,u\n#f,4,v\n", {"0": ["#f", "#g", "h", "#f"], "1": [1, 2, 3, 4], "2": list("uvuv")}
    ),
    "comments only": Case("# only\n", ("no rows",)),
    "a title": Case("Report of 2020\na,b\n1,u\n2,v\n", AB),
    "a title and a blank line": Case("Report of 2020\n\na,b\n1,u\n2,v\n", AB),
    "two lines of a title": Case(
        "Report, by x\nof spring\n\na,c,b\n1,5,u\n2,6,v\n3,6,v\n", {"a": [1, 2, 3], "c": [5, 6, 6], "b": list("uvv")}
    ),
    "every second line is blank": Case("a,b\n\n1,u\n\n2,v\n\n3,u\n\n", {"a": [1.0, 2.0, 3.0], "b": list("uvu")}),
    "too few names above three columns": Case("a,c\n1,5,u\n2,6,v\n3,6,v\n", ("line 1", "2 names", "3 cells")),
    "a title with trailing separators": Case(
        "Report,,\na,c,b\n1,5,u\n2,6,v\n3,6,v\n", {"a": [1, 2, 3], "c": [5, 6, 6], "b": list("uvv")}
    ),
    "byte order mark": Case("\ufeffa,b\n1,u\n2,v\n", AB),
    "UTF-16 with its mark": Case("a,b\n1,é\n2,v\n".encode("utf-16"), {"a": [1.0, 2.0], "b": ["é", "v"]}),
    "UTF-16 without its mark": Case("a,b\n1,é\n2,v\n".encode("utf-16-le"), {"a": [1.0, 2.0], "b": ["é", "v"]}),
    "UTF-32": Case("a,b\n1,é\n2,v\n".encode("utf-32"), {"a": [1.0, 2.0], "b": ["é", "v"]}),
    "Latin-1 unasked": Case("a,b\n1,é\n2,v\n".encode("latin-1"), ("line 2", "UTF-8", "encoding=")),
    "Latin-1": Case("a,b\n1,é\n2,v\n".encode("latin-1"), {"a": [1.0, 2.0], "b": ["é", "v"]}, {"encoding": "latin-1"}),
    "no encoding": Case("a,b\n1,u\n", ("encoding", "klingon"), {"encoding": "klingon"}),
    "an encoding of bytes": Case("a,b\n1,u\n", ("encoding", "base64"), {"encoding": "base64"}),
    "a NUL": Case("a,b\n1,u\n2,\0\n", ("line 3", "NUL")),
    "empty": Case("", ("empty",)),
    "blank": Case("\n \n", ("empty",)),
    "names only": Case("a,b\n", ("no rows",)),
    "one column": Case("x\n1\n2\n", ("no feature column left",)),
    "too few cells": Case("a,b\n1,u\n2\n3,v\n", ("line 3", "1 cell", "has 2")),
    "too many cells": Case("a,b\n1,u\n2,v,w\n", ("line 3", "3 cells", "has 2")),
    "too few names": Case("a,b\n1,2,3\n4,5,6\n", ("line 1", "2 names", "3 cells")),
    "a page of the web": Case("<!DOCTYPE html>\n<html>\n<body>a,b</body>\n", ("web",)),
    "JSON": Case('[{"a": 1, "b": "u"},\n {"a": 2, "b": "v"}]\n', ("JSON",)),
    "JSON lines": Case('{"a": 1, "b": "u"}\n{"a": 2, "b": "v"}\n', ("JSON",)),
    "a pointer": Case("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", ("Git LFS",)),
    "a workbook": Case(b"PK\x03\x04" + b"xl/workbook.xml" * 9, ("Excel",)),
    "a picture": Case(b"\x89PNG\r\n", ("picture",)),
}
QUOTES = {
    "a line end within quotation marks": Case('a,b\n"x\ny",1\nz,2\n', {"a": ["x\ny", "z"], "b": [1, 2]}),
    "CR LF within quotation marks": Case('a,b\r\n"x\r\ny",1\r\nz,2\r\n', {"a": ["x\r\ny", "z"], "b": [1, 2]}),
    "a separator within quotation marks": Case('a,b\n"x,y",1\nz,2\n', {"a": ["x,y", "z"], "b": [1, 2]}),
    "a quotation mark within a cell": Case('a,b\n5" pipe,1\n6" pipe,2\n', {"a": ['5" pipe', '6" pipe'], "b": [1, 2]}),
    "doubled quotation marks": Case('a,b\n"5"" pipe",1\nx,2\n', {"a": ['5" pipe', "x"], "b": [1, 2]}),
    "everything quoted": Case('"a","b"\n"1","u"\n"2","v"\n', AB),
    "quoted behind a space": Case('a, b\n1, "u, w"\n2, v\n', {"a": [1.0, 2.0], "b": ["u, w", "v"]}),
    "a quoted empty cell": Case('a,b\n"",u\nx,v\ny,v\n', {"a": [None, "x", "y"], "b": ["u", "v", "v"]}),
    "never closed": Case('a,b\n1,2\n3,"4\n5,6\n', ("line 3", "never closed")),
    "text behind a closed one": Case('a,b\n"x" y,1\nz,2\n', ("line 2", "closing")),
}
HEADERS = {
    "whole numbers and text": Case(
        "39, P, 9, <\n50, S, 8, >\n40, P, 7, <\n",
        {"0": [39, 50, 40], "1": list("PSP"), "2": [9, 8, 7], "3": list("<><")},
    ),
    "years": Case(
        "2019,2020,2021,up\n.1,.2,.3,y\n.4,.5,.6,n\n.7,.8,.9,y\n.2,.3,.1,n\n",
        {"2019": [0.1, 0.4, 0.7, 0.2], "2020": [0.2, 0.5, 0.8, 0.3], "2021": [0.3, 0.6, 0.9, 0.1], "up": list("ynyn")},
    ),
    "years alone": Case(
        "2019,2020,2021\n.1,.2,0.3\n.4,.5,0.1\n.7,.8,0.9\n.2,.3,0.1\n",
        {"2019": [0.1, 0.4, 0.7, 0.2], "2020": [0.2, 0.5, 0.8, 0.3], "2021": [0.3, 0.1, 0.9, 0.1]},
    ),
    "wavelengths": Case(
        "9.997,9.991,0.046,class\n.1,.2,.3,y\n.4,.5,.1,n\n.7,.8,.9,y\n.2,.3,.1,n\n",
        {
            "9.997": [0.1, 0.4, 0.7, 0.2],
            "9.991": [0.2, 0.5, 0.8, 0.3],
            "0.046": [0.3, 0.1, 0.9, 0.1],
            "class": list("ynyn"),
        },
    ),
    "counted columns": Case("0,1,2\n4,2,3\n5,5,1\n", {"0": [4, 5], "1": [2, 5], "2": [3, 1]}),
    "rows that count": Case("1,2,3\n4,5,6\n7,8,9\n", {"0": [1, 4, 7], "1": [2, 5, 8], "2": [3, 6, 9]}),
    "two numbers": Case("1,2\n3,4\n5,6\n", {"0": [1, 3, 5], "1": [2, 4, 6]}),
    "truth table": Case("0,0,0\n0,1,1\n1,0,1\n1,1,0\n", {"0": [0, 0, 1, 1], "1": [0, 1, 0, 1], "2": [0, 1, 1, 0]}),
    "numbers, then a name": Case("0,1,target\n4,2,3\n1,3,4\n", {"0": [4, 1], "1": [2, 3], "target": [3, 4]}),
    "iris": Case(
        "5.1,3.5,1.4,.2,s\n4.9,3,1.4,.1,s\n7,3.2,4.7,1.4,v\n",
        {"0": [5.1, 4.9, 7], "1": [3.5, 3, 3.2], "2": [1.4, 1.4, 4.7], "3": [0.2, 0.1, 1.4], "4": list("ssv")},
    ),
    "a rare class first": Case(
        "5.1,3.5,s\n4.9,3,v\n7,3.2,v\n6,4,w\n5,3,w\n5,4,w\n",
        {"0": [5.1, 4.9, 7, 6, 5, 5], "1": [3.5, 3, 3.2, 4, 3, 4], "2": list("svvwww")},
    ),
    "texts only, without names": Case(
        "p,x,yes\nq,y,no\np,x,no\nq,y,yes\n", {"0": list("pqpq"), "1": list("xyxy"), "2": ["yes", "no", "no", "yes"]}
    ),
    "texts only, with names": Case(
        "k,l,m\np,x,yes\nq,y,no\np,x,no\nq,y,yes\n",
        {"k": list("pqpq"), "l": list("xyxy"), "m": ["yes", "no", "no", "yes"]},
    ),
    "a first row with a missing cell": Case(
        "?,3,u\n4,2,v\n5,3,u\n4,1,v\n", {"0": [None, 4, 5, 4], "1": [3, 2, 3, 1], "2": list("uvuv")}
    ),
    "pandas' index": Case(",a,b\n0,1,u\n1,2,v\n2,2,v\n", {"a": [1, 2, 2], "b": list("uvv")}),
    "pandas' index over counted columns": Case(
        ",0,1\n0,.5,u\n1,.6,v\n2,.4,u\n", {"0": [0.5, 0.6, 0.4], "1": list("uvu")}
    ),
    "--header": Case("5,6\n1,u\n2,v\n", {"5": [1.0, 2.0], "6": ["u", "v"]}, {"header": True}),
    "--no-header": Case("x,y\nz,y\nw,u\n", {"0": ["x", "z", "w"], "1": ["y", "y", "u"]}, {"header": False}),
    "an empty cell above numbers": Case("5;\n7;0\n9;1\n8;2\n6;0\n", {"0": [5, 7, 9, 8, 6], "1": [None, 0, 1, 2, 0]}),
    "duplicate names": Case("a,a,b\n1,2,u\n3,4,v\n", {"a": [1.0, 3.0], "a.1": [2.0, 4.0], "b": ["u", "v"]}),
    "a duplicate name taken": Case(
        "a,a,a.1,b\n1,2,5,u\n3,4,6,v\n", {"a": [1, 3], "a.2": [2, 4], "a.1": [5, 6], "b": ["u", "v"]}
    ),
    "a target that stands twice": Case("a,b,b\n1,2,u\n3,4,v\n", ("more than once", '"b"'), {}, {"target": "b"}),
    "brackets and markup": Case(
        "force [kg m/s^2],rate [/s]\n1,u\n2,v\n", {"force [kg m/s^2]": [1.0, 2.0], "rate [/s]": ["u", "v"]}
    ),
}


def column(*cells, separator=","):
    """Return a file of the column a with `cells`, and a target b."""
    return f"a{separator}b\n" + "".join(f"{cell}{separator}{'uv'[i % 2]}\n" for i, cell in enumerate(cells))


def only(*values):
    """Return the values of the columns a and b of `column`."""
    return {"a": list(values), "b": ["uv"[i % 2] for i in range(len(values))]}


NUMBERS = {
    "plain": Case(column("1e3", "1E-2", "+.5", "5.", "-7"), only(1000.0, 0.01, 0.5, 5.0, -7.0)),
    "decimal commas": Case(column("1,5", "2,25", separator=";"), only(1.5, 2.25)),
    "decimal commas, points between thousands": Case(column("1.234,5", "2,25", separator=";"), only(1234.5, 2.25)),
    "thousands": Case(column('"1,234"', '"2,345,678"', "12"), only(1234.0, 2345678.0, 12.0)),
    "thousands and decimals": Case(column('"1,234.5"', "12.25"), only(1234.5, 12.25)),
    "thousands by points": Case(column("1.234.567", "12", separator=";"), only(1234567.0, 12.0)),
    "thousands by spaces": Case(
        column("1 234", "12 345 678", "1\u00a0500", "2\u202f000"), only(1234.0, 12345678.0, 1500.0, 2000.0)
    ),
    "thousands by apostrophes": Case(column("1'234", "2\u2019500"), only(1234.0, 2500.0)),
    "commas that may be either": Case(
        column("1,234", "2,345", separator=";"), ("line 2", '"a"', "thousands", "decimal")
    ),
    "commas decided by the user": Case(
        column("1,234", "2,345", separator=";"), only(1.234, 2.345), {}, {"decimal": ","}
    ),
    "points decided by the user": Case(
        column("1.234", "2.345", separator=";"), only(1234.0, 2345.0), {}, {"decimal": ","}
    ),
    "commas decided by a column": Case(
        "a;c;b\n1,234;1,5;u\n2,345;2,5;v\n", {"a": [1.234, 2.345], "c": [1.5, 2.5], "b": ["u", "v"]}
    ),
    "commas decided by points": Case(
        "a;c;b\n1,234;1.5;u\n2,345;2.5;v\n", {"a": [1234.0, 2345.0], "c": [1.5, 2.5], "b": ["u", "v"]}
    ),
    "points beside decimal commas": Case("a;c;b\n1.234;1,5;u\n2.345;2,5;v\n", ("line 2", '"a"', "thousands")),
    "marks that disagree": Case(column("1,5", "1.5", "2", separator=";"), ("line 3", '"a"', "do not agree")),
    "groups of two digits": Case(column('"12,34,567"', '"1,234"', "5"), ("line 2", '"a"', "not a number")),
    "currency": Case(column("$5", "$1.50", "-$3"), only(5.0, 1.5, -3.0)),
    "currency behind": Case(column("5 €", "7 €"), only(5.0, 7.0)),
    "currency by its code": Case(column("USD 5", "USD 7"), only(5.0, 7.0)),
    "two currencies": Case(column("$5", "€7"), ("line 3", '"a"', "units")),
    "currency on some": Case(column("$5", "7", "8"), ("line 3", '"a"', "units")),
    "Swedish currency": Case(column("5,50 kr", "1 200 kr", separator=";"), only(5.5, 1200.0)),
    "per cent": Case(column("5%", "7.5 %"), only(5.0, 7.5)),
    "accounting brackets": Case(
        column("(5)", '"($1,200.50)"', "7").replace("(5)", "($5)").replace(",7,", ",$7,").replace("\n7,", "\n$7,"),
        only(-5.0, -1200.5, 7.0),
    ),
    "typographic minus": Case(column("\u22125", "7"), only(-5.0, 7.0)),
    "UCI's question marks": Case(column("?", "2", "3"), only(None, 2.0, 3.0)),
    "markers": Case(
        column("NA", "2", "null", "-", "3", "N/A", "nan", "None", "#N/A", ""),
        only(None, 2, None, None, 3, None, None, None, None, None),
    ),
    "markers in a column with units": Case(column("n/a", "5%", "?"), only(None, 5.0, None)),
    "one text among numbers": Case(column("1", "x", "3"), ("line 3", '"a"', '"x"', "not a number")),
    "one text behind a quoted line end": Case('a,b\n"1\n",2\n\nx,3\n5,6\n', ("line 5", '"a"', '"x"')),
    "texts with some numbers": Case(column("1", "2A", "3B", "none"), only("1", "2A", "3B", "none")),
    "tickets": Case(
        column("113803", "A/5 21171", "PC 17599", "330877", "17463", "S.C. 3", "W./C. 6608", "349909", "347742"),
        only("113803", "A/5 21171", "PC 17599", "330877", "17463", "S.C. 3", "W./C. 6608", "349909", "347742"),
    ),
    "underscores": Case(column("2020_01", "2020_02"), only("2020_01", "2020_02")),
    "underscores among numbers": Case(column("1_000", "2000", "3000"), ("line 2", '"a"', '"1_000"', "not a number")),
    "hexadecimal": Case(column("0x10", "0x11"), only("0x10", "0x11")),
    "infinity": Case(column("infinity", "2", "3"), ("line 2", '"a"', "finite")),
    "too large": Case(column("1e400", "2"), ("line 2", '"a"', "too large")),
    "full-width digits": Case(column("\uff11\uff12", "\uff11\uff13"), ("line 2", '"a"', "digits")),
    "Arabic digits": Case(column("\u0661\u0662", "\u0661\u0663"), ("line 2", '"a"', "digits")),
    "numeric that is not": Case(column("x", "y"), ("line 2", '"x"', "numeric="), {}, {"numeric": ["a"]}),
    "leading zeros": Case(column("01", "1", "001"), only("01", "1", "001")),
    "leading zeros read as numbers": Case(column("01", "2"), only(1.0, 2.0), {}, {"numeric": ["a"]}),
    "leading zeros and a marker": Case(column("01", "?", "2"), only("01", None, "2")),
    "numbers read as categories": Case(column("1", "2", "1.0"), only("1", "2", "1.0"), {}, {"categorical": ["a"]}),
}
KINDS = {
    "categories": Case(column("x", "", "?", "y", "NA"), only("x", None, None, "y", None)),
    "codes of countries": Case(column("NA", "UK", "US"), only("NA", "UK", "US"), {}, {"categorical": ["a"]}),
    "MySQL's null": Case(column("\\N", "2", "3"), only(None, 2.0, 3.0)),
    "none and - are categories": Case(column("none", "None", "-", "x"), only("none", "None", "-", "x")),
    "markers alone are no values": Case("a,c,b\n1,.,u\n2,.,v\n", AB),
    "booleans": Case(column("true", "FALSE", "True", ""), only(True, False, True, None)),
    "ISO dates": Case(column("2020-01-31", "2021-02-28", ""), only("2020-01-31T00:00:00", "2021-02-28T00:00:00", None)),
    "ISO moments": Case(
        column("2020-01-31T10:20:30Z", "2021-02-28 11:00+02:00"), only("2020-01-31T10:20:30", "2021-02-28T09:00:00")
    ),
    "half a day": Case(
        column("1/31/2020 12:30 AM", "2/28/2020 1:05 PM"), only("2020-01-31T00:30:00", "2020-02-28T13:05:00")
    ),
    "dates with points": Case(column("31.12.2020", "1.2.2021"), only("2020-12-31T00:00:00", "2021-02-01T00:00:00")),
    "the day first": Case(column("13/02/2020", "01/02/2020"), only("2020-02-13T00:00:00", "2020-02-01T00:00:00")),
    "the month first": Case(column("12/31/2020", "01/02/2020"), only("2020-12-31T00:00:00", "2020-01-02T00:00:00")),
    "the day or the month first": Case(column("01/02/2020", "03/04/2020"), ("line 2", '"a"', "day or the month")),
    "now the day, now the month first": Case(column("13/02/2020", "01/22/2020"), ("line 3", '"a"', "month first")),
    "months by name": Case(column("3 Mar 2020", "4 April 2021"), only("2020-03-03T00:00:00", "2021-04-04T00:00:00")),
    "the month by name first": Case(
        column('"Mar 3, 2020"', '"May 13, 2020"'), only("2020-03-03T00:00:00", "2020-05-13T00:00:00")
    ),
    "one text among dates": Case(column("2020-01-31", "soon", "2020-02-01"), ("line 3", '"soon"', "not a date")),
    "dates in two forms": Case(column("2020-01-31", "1.2.2020"), ('"a"', "two forms")),
    "no day of the calendar": Case(column("2020-01-31", "2021-02-30"), ("line 3", '"a"', "calendar")),
    "constant and empty columns": Case("a,c,d,b\n1,7,,u\n2,7,,v\n", AB),
    "a column that counts": Case("id,a,b\n1,5,u\n2,6,v\n3,6,v\n", {"a": [5, 6, 6], "b": list("uvv")}),
    "a feature that counts": Case("x,y\n1,5\n2,6\n3,6\n", {"x": [1, 2, 3], "y": [5, 6, 6]}),
    "names of people": Case(
        "who,a,b\n" + "".join(f"p{i},{i % 5},{'uv'[i % 2]}\n" for i in range(12)),
        {"a": [i % 5 for i in range(12)], "b": ["uv"[i % 2] for i in range(12)]},
    ),
    "drop by name and position": Case("a,c,d,b\n1,3,x,u\n2,4,y,v\n", AB, {}, {"drop": ["c", "2"]}),
    "a column that may hold anything": Case(
        "a,c,b\n1,3,u\n2,x,v\n3,4,u\n", {"a": [1, 2, 3], "b": list("uvu")}, {}, {"drop": ["c"]}
    ),
}
TARGETS = {
    "leading zeros": Case("x,y\n1,01\n2,1\n3,001\n", {"x": [1, 2, 3], "y": ["01", "1", "001"]}),
    "64-bit whole numbers": Case(
        "x,y\n1,9007199254740993\n2,9007199254740992\n3,18446744073709551617\n",
        {"x": [1, 2, 3], "y": [9007199254740993, 9007199254740992, 18446744073709551617]},
    ),
    "floats": Case("x,y\n1,0.5\n2,1.25\n", {"x": [1, 2], "y": [0.5, 1.25]}),
    "floats not as Python writes them": Case("x,y\n1,1.50\n2,2.5\n", {"x": [1, 2], "y": ["1.50", "2.5"]}),
    "thousands": Case('x,y\n1,"90,123"\n2,"95,000"\n', {"x": [1, 2], "y": ["90,123", "95,000"]}),
    "booleans": Case("x,y\n1,true\n2,false\n3,\n", {"x": [1, 2, 3], "y": ["true", "false", None]}),
    "NA as a class": Case(
        "x,y\n1,NA\n2,EU\n", {"x": [1, 2], "y": ["NA", "EU"]}, {}, {"target": "y", "categorical": ["y"]}
    ),
    "missing": Case("x,y\n1,?\n2,5\n3,6\n", {"x": [1, 2, 3], "y": [None, 5, 6]}),
    "never there": Case("x,y\n1,\n2,\n", ("no value",)),
    "by position": Case("x,y\nu,1\nv,2\n", {"y": [1, 2], "x": ["u", "v"]}, {}, {"target": "0"}),
    "a name before a position": Case(
        "2,1,0\n7,8,9\n6,5,4\n", {"2": [7, 6], "1": [8, 5], "0": [9, 4]}, {"header": True}, {"target": "0"}
    ),
    "no such name": Case(
        "x,kind\n1,u\n2,v\n", ("target=", "no such column", 'Did you mean "kind"?', "x, kind"), {}, {"target": "kin"}
    ),
    "no such position": Case("x,y\n1,u\n2,v\n", ("target=9", "0 to 1"), {}, {"target": "9"}),
    "none": Case("x,y\n1,u\n2,v\n", ("target=", "x, y"), {}, {"target": None}),
    "dropped too": Case("x,y\n1,u\n2,v\n", ("both",), {}, {"target": "y", "drop": ["y"]}),
}
CASES = [
    (f"{group}: {name}", case)
    for group, cases in [
        ("form", FORM),
        ("quotes", QUOTES),
        ("header", HEADERS),
        ("numbers", NUMBERS),
        ("kinds", KINDS),
        ("target", TARGETS),
    ]
    for name, case in cases.items()
]
