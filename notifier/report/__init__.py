"""The report: one self-contained HTML page that answers analysts' questions as charts and tables.

    queries/<question>.sql   what each question asks the database; docs/analyst.md shows the same
    questions.py             the questions, in the order of the page
    charts.py                where the bars of a chart are
    page.py                  the page; its template, style and texts are beside it

A new question is a file in queries/, a row in QUESTIONS, its texts in every locale, and a section
of docs/analyst.md.
"""
