"""The edge to Kubernetes: client, lease, work queue, triggers, events, and the pure rendering of Jobs.

Only this package imports kubernetes, and only `triggers` imports kopf. `placeholders` and `render` are pure.
"""
