//! Child processes where the engine runs, each in a process group of its own.
