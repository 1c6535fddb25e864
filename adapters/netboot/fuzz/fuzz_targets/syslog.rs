//! Log messages, alone and in a stream.
#![no_main]

use lab_netboot::syslog::framing::Framing;
use lab_netboot::syslog::{LONGEST, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut take = |message: &[u8]| {
        assert!(message.len() <= LONGEST);
        assert!(!Message::parse(message).text.chars().any(char::is_control));
    };
    take(&bytes[..bytes.len().min(LONGEST)]);
    let mut framing = Framing::default();
    framing.put(bytes, &mut take);
    framing.end(&mut take);
});
