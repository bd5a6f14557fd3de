"""The process executor: a Study file on this machine, without a cluster. `rung.local.run.run_study` runs one."""
