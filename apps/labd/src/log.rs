//! Where and how is logged: to stderr, by level, as text or JSON.

use crate::config::{LogFormat, Settings};
use std::io::IsTerminal;
use tracing_subscriber::fmt;

/// Begins to log. To be called once.
pub fn begin(settings: &Settings) {
    let builder = fmt().with_env_filter(settings.log_level.filter()).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).with_target(false).init();
        }
    }
}
