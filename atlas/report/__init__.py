"""The HTML report of `atlas report`.

sections   its sections, from results of studies and from the API
compare    the section that compares two sides
parts      what sections consist of: tables, pictures, notes about missing data
page       the page as HTML, and its figures as files
graphql/   the query of each section
templates/ the template of the page
"""
