// Starters of the real servers for tests.
