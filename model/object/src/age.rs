//! Ages as tables show them: two or three significant figures, by the rules of Kubernetes' `HumanDuration`.

use crate::Time;
use jiff::SignedDuration;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// How long ago `then` was, seen at `now`: `47s`, `2m30s`, `10m`, `3h5m`, `2d3h`, `8d`, `2y10d`.
///
/// A moment up to two seconds in the future counts as now (clocks differ); one further ahead is `<invalid>`.
pub fn age(then: Time, now: Time) -> String {
    human_duration(now.0.duration_since(then.0))
}

/// A duration by the same rules.
pub fn human_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        ..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two_parts(seconds, MINUTE, "m", 1, "s"),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two_parts(seconds, HOUR, "h", MINUTE, "m"),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two_parts(seconds, DAY, "d", HOUR, "h"),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two_parts(seconds, YEAR, "y", DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// `3h5m`, or `3h` when the smaller part is nought.
fn two_parts(seconds: i64, large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    let (whole, rest) = (seconds / large, seconds % large / small);
    if rest == 0 { format!("{whole}{large_unit}") } else { format!("{whole}{large_unit}{rest}{small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn check(millis: i64, expected: &str) {
        assert_eq!(human_duration(SignedDuration::from_millis(millis)), expected, "{millis} ms");
        let then = Time(Timestamp::from_second(1_763_726_400).unwrap());
        let now = Time(then.0 + SignedDuration::from_millis(millis));
        assert_eq!(age(then, now), expected);
    }

    #[test]
    fn every_rule_and_its_borders() {
        let cases = [
            (-2 * 1000, "<invalid>"),
            (-1999, "0s"),
            (-1, "0s"),
            (0, "0s"),
            (999, "0s"),
            (59 * 1000, "59s"),
            (119 * 1000, "119s"),
            (119 * 1000 + 999, "119s"),
            (120 * 1000, "2m"),
            (150 * 1000, "2m30s"),
            (599 * 1000, "9m59s"),
            (600 * 1000, "10m"),
            (3 * HOUR * 1000 - 1, "179m"),
            (3 * HOUR * 1000, "3h"),
            ((3 * HOUR + 5 * MINUTE) * 1000, "3h5m"),
            ((8 * HOUR - 1) * 1000, "7h59m"),
            (8 * HOUR * 1000, "8h"),
            ((48 * HOUR - 1) * 1000, "47h"),
            (48 * HOUR * 1000, "2d"),
            ((51 * HOUR) * 1000, "2d3h"),
            ((8 * DAY - 1) * 1000, "7d23h"),
            (8 * DAY * 1000, "8d"),
            ((2 * YEAR - 1) * 1000, "729d"),
            (2 * YEAR * 1000, "2y"),
            ((2 * YEAR + 10 * DAY) * 1000, "2y10d"),
            ((8 * YEAR - 1) * 1000, "7y364d"),
            (8 * YEAR * 1000, "8y"),
            (10 * YEAR * 1000 + 5, "10y"),
        ];
        for (millis, expected) in cases {
            check(millis, expected);
        }
    }
}
