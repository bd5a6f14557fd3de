"""Programs to tune: two that use the SDK, two that know nothing of Rung."""
