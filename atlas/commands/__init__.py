"""The commands of `atlas`: one file per command or group of commands, listed by `atlas.cli`.

options         what commands share: options, consoles, the number of cores
demo, db, doctor, serve, query
ingest, attribute, imports, exports, checkpoints, jobs     circuits and files
labels, supernodes, modules                                labels and groups of features
interventions, claims, hypotheses, diagnostics, components tests by intervention
studies, figures, report                                   results in tables and pages
upkeep          runs, delete, check, stats, backup, restore
"""
