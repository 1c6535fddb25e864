//! How often somebody may guess: wrong passwords, counted per user and per address.

use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// Counts failures by name. What was counted fades with time, so that nobody is locked out for longer than
/// [`Limit::window`].
#[derive(Debug)]
pub struct Guesses {
    limit: Limit,
    counts: HashMap<String, Count>,
}

/// How many failures are borne.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// So many failures within the window, then nobody is asked any more until it has passed.
    pub failures: u32,
    /// From the first failure that counts.
    pub window: SignedDuration,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    until: Timestamp,
}

/// Most names that are remembered. Beyond it, those that fade first are forgotten.
const REMEMBERED: usize = 100_000;

impl Guesses {
    /// Nothing was counted yet.
    pub fn new(limit: Limit) -> Self {
        Self { limit, counts: HashMap::new() }
    }

    /// Counts an attempt, before it is known how it ends: of attempts at the same moment, no more are let through than one
    /// after the other. Whoever succeeds is [forgotten](Self::forget).
    ///
    /// # Errors
    /// There were too many; until when the next is refused.
    pub fn attempt(&mut self, name: &str, now: Timestamp) -> Result<(), Timestamp> {
        self.fade(now);
        let fresh = Count { failures: 0, until: now + self.limit.window };
        let count = self.counts.entry(name.to_owned()).or_insert(fresh);
        if count.until <= now {
            *count = fresh;
        }
        if count.failures >= self.limit.failures {
            return Err(count.until);
        }
        count.failures += 1;
        Ok(())
    }

    /// Until when a name is refused, where it has come to that.
    pub fn refused_until(&self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let count = self.counts.get(name)?;
        (count.failures >= self.limit.failures && count.until > now).then_some(count.until)
    }

    /// Takes an attempt back that was none: it did not come to a guess.
    pub fn take_back(&mut self, name: &str) {
        if let Some(count) = self.counts.get_mut(name) {
            count.failures = count.failures.saturating_sub(1);
        }
    }

    /// Forgets what was counted for a name, as it was right at last.
    pub fn forget(&mut self, name: &str) {
        self.counts.remove(name);
    }

    /// Makes room, when there is none.
    fn fade(&mut self, now: Timestamp) {
        if self.counts.len() < REMEMBERED {
            return;
        }
        self.counts.retain(|_, count| count.until > now);
        if self.counts.len() >= REMEMBERED {
            let mut ends: Vec<_> = self.counts.values().map(|count| count.until).collect();
            let (_, middle, _) = ends.select_nth_unstable(REMEMBERED / 2);
            let middle = *middle;
            self.counts.retain(|_, count| count.until > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_are_refused_until_they_have_faded() {
        let limit = Limit { failures: 3, window: SignedDuration::from_secs(60) };
        let mut guesses = Guesses::new(limit);
        let at = |second: i64| Timestamp::from_second(1_000 + second).unwrap();
        for second in [0, 1, 2] {
            assert_eq!(guesses.attempt("a", at(second)), Ok(()));
        }
        assert_eq!(guesses.attempt("a", at(3)), Err(at(60)));
        let refused = |name: &str, second: i64| guesses.refused_until(name, at(second));
        assert_eq!((refused("a", 3), refused("a", 60), refused("b", 3)), (Some(at(60)), None, None));
        assert_eq!(guesses.attempt("b", at(3)), Ok(()), "others are not concerned");
        assert_eq!(guesses.attempt("a", at(59)), Err(at(60)), "trying on makes it no longer");
        assert_eq!(guesses.attempt("a", at(60)), Ok(()));
        guesses.forget("a");
        for second in [61, 62, 63] {
            assert_eq!(guesses.attempt("a", at(second)), Ok(()));
        }
        guesses.take_back("a");
        assert_eq!(guesses.attempt("a", at(64)), Ok(()));
        assert!(guesses.attempt("a", at(65)).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limit = Limit { failures: 1, window: SignedDuration::from_secs(60) };
        let mut guesses = Guesses::new(limit);
        for n in 0..REMEMBERED + 10 {
            let now = Timestamp::from_millisecond(n as i64 / 10).unwrap();
            assert_eq!(guesses.attempt(&n.to_string(), now), Ok(()));
        }
        assert!(guesses.counts.len() <= REMEMBERED);
        let latest = (REMEMBERED + 9).to_string();
        assert!(guesses.attempt(&latest, Timestamp::from_second(1).unwrap()).is_err(), "the latest are kept");
    }
}
