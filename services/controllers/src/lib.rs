//! Watch, decide, act: one file per controller.
