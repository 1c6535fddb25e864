//! Typed client and informers for our own API.
