//! From when until when a certificate holds, and when it is time for the next.

use std::time::{Duration, SystemTime};

/// How far back a certificate's life begins, so that clients whose clocks are behind accept it.
const BACKDATE: Duration = Duration::from_secs(60 * 60);

/// From when until when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// It does not hold before.
    pub from: SystemTime,
    /// It does not hold after.
    pub until: SystemTime,
}

impl Lifetime {
    /// A life of `length` from `now` on, begun an hour early for clocks that are behind.
    pub fn starting(now: SystemTime, length: Duration) -> Self {
        Self { from: now - BACKDATE, until: now + length }
    }

    /// When the certificate was issued.
    pub fn issued(&self) -> SystemTime {
        self.from + BACKDATE
    }

    /// Whether the certificate holds.
    pub fn holds(&self, now: SystemTime) -> bool {
        self.from <= now && now <= self.until
    }

    /// Whether it is time for the next one: a third of its life or less is left, or it does not hold (which
    /// includes a clock that was set back before its beginning).
    pub fn renewal_due(&self, now: SystemTime) -> bool {
        !self.holds(now) || now >= self.renewal()
    }

    /// When it will be time for the next one.
    pub fn renewal(&self) -> SystemTime {
        let length = self.until.duration_since(self.from).unwrap_or_default();
        self.until - length / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_due_in_the_last_third_and_outside_the_life() {
        let at = |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s);
        let life = Lifetime { from: at(1000), until: at(4000) };
        let check = |now, due, holds| {
            assert_eq!((life.renewal_due(at(now)), life.holds(at(now))), (due, holds), "at {now}");
        };
        check(999, true, false);
        check(1000, false, true);
        check(2999, false, true);
        check(3000, true, true);
        check(4000, true, true);
        check(4001, true, false);
    }

    #[test]
    fn a_life_begins_early_for_clocks_that_are_behind() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let life = Lifetime::starting(now, Duration::from_secs(30));
        assert_eq!(life.from, now - Duration::from_secs(3600));
        assert_eq!(life.until, now + Duration::from_secs(30));
        assert!(life.holds(now));
    }
}
