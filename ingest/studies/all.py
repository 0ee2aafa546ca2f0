"""The list of all studies, by name."""

from ingest.studies import (
    arithmetic,
    chain_of_thought,
    components,
    diagnosis,
    emergence,
    entities,
    modular_cortex,
    multi_step,
    multilingual,
    poetry,
    refusals,
)
from ingest.studies.tools.study import Study

STUDIES: dict[str, Study] = {
    module.STUDY.name: module.STUDY
    for module in (
        multi_step,
        poetry,
        multilingual,
        arithmetic,
        diagnosis,
        entities,
        refusals,
        chain_of_thought,
        components,
        modular_cortex,
        emergence,
    )
}
