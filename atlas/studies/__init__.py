"""Results of the studies: files, tables, figures and pages. `ingest.studies` runs the studies.

results    results as JSON files
tables     results as tables
figures    results as figures
pages      results in the pages of docs/studies
graphql/   the GraphQL question of each study
"""
