"""What studies share; `ingest.studies` lists these modules and says how to add a study."""
