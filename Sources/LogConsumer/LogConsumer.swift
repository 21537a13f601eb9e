// Filled by the work that this target is for.
