//! Who may do what: over every kind and verb, and where it hangs on what an object says.

mod objects;
mod site;
mod verdicts;
