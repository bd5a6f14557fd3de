"""The simulated body: studies over learning curves and a virtual clock. `engine` runs one, `curves` is what trials say."""
