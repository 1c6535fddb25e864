//! Other people's client libraries against the real labd: kube-rs here, the Python client by a script of its own.
//! Everything is in `tests/`; this crate keeps the heavy dependencies apart.
