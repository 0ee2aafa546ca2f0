"""Pages of the docs that are made from the code: `make docs` and `make answers`.

question_pages    a page for each question
sample_answers    the answers of these pages and of the Cypher files
reference_tables  tables of limits and of download columns
site_links        links of the website
"""
