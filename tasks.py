"""The entry point of invoke."""

from tljh_runbook.guide import project, tasks

namespace = tasks.collection()
project.add(namespace)
