"""What the three bodies (cluster, local processes, simulation) share: the executor protocol, the record, one reconcile."""
