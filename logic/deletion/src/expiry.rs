//! When an event has been kept long enough.

use jiff::{SignedDuration, Timestamp};

/// When an event expires: `keep` after it was last seen. `seen` are the times that the event carries, in any order; one that
/// carries none is never old (`None`).
pub fn expires(seen: impl IntoIterator<Item = Option<Timestamp>>, keep: SignedDuration) -> Option<Timestamp> {
    let last = seen.into_iter().flatten().max()?;
    Some(last.saturating_add(keep).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_expires_after_it_was_last_seen() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let keep = SignedDuration::from_secs(3600);
        let check = |seen: &[Option<Timestamp>], expected: Option<Timestamp>| {
            assert_eq!(expires(seen.iter().copied(), keep), expected);
        };
        check(&[], None);
        check(&[None, None], None);
        check(&[Some(at(100))], Some(at(3700)));
        check(&[None, Some(at(100)), Some(at(900)), Some(at(300))], Some(at(4500)));
        check(&[Some(Timestamp::MAX)], Some(Timestamp::MAX));
    }
}
