//! Defaults and validation: what may be stored, decided without I/O.
