//! Medians, percentiles, and the table in which ours stands beside the peer's.

use std::time::Duration;

/// The middle one of some figures; 0 of none.
pub fn median(figures: &[f64]) -> f64 {
    percentile(figures, 50.0)
}

/// The figure below which `percent` of them lie (nearest rank); 0 of none.
pub fn percentile(figures: &[f64], percent: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Milliseconds of a duration.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// One line of the report.
#[derive(Clone)]
pub struct Row {
    what: String,
    unit: &'static str,
    ours: f64,
    peer: Option<f64>,
    more_is_better: bool,
}

impl Row {
    /// A rate: more is better.
    pub fn rate(what: impl Into<String>, unit: &'static str, ours: &[f64], peer: &[f64]) -> Self {
        Self::new(what.into(), unit, ours, peer, true)
    }

    /// A time or a size: less is better.
    pub fn cost(what: impl Into<String>, unit: &'static str, ours: &[f64], peer: &[f64]) -> Self {
        Self::new(what.into(), unit, ours, peer, false)
    }

    /// Our figure.
    pub fn ours(&self) -> f64 {
        self.ours
    }

    /// How many times better ours is than the peer's.
    pub fn ratio(&self) -> Option<f64> {
        self.peer.map(|peer| if self.more_is_better { self.ours / peer } else { peer / self.ours })
    }

    fn new(what: String, unit: &'static str, ours: &[f64], peer: &[f64], more_is_better: bool) -> Self {
        let peer = (!peer.is_empty()).then(|| median(peer));
        Self { what, unit, ours: median(ours), peer, more_is_better }
    }
}

/// Prints the report; the ratio is above 1 where ours is better.
pub fn print(peer: &str, rows: &[Row]) {
    println!("{:46} {:>12} {:>12} {:>8}", "medians", "ours", peer, "ratio");
    for row in rows {
        let what = format!("{} ({})", row.what, row.unit);
        let peer = row.peer.map_or("-".into(), round);
        let ratio = row.ratio().map_or("-".into(), |ratio| format!("{ratio:.2}"));
        println!("{what:46} {:>12} {peer:>12} {ratio:>8}", round(row.ours));
    }
}

fn round(figure: f64) -> String {
    match figure.abs() {
        f if f >= 100.0 => format!("{figure:.0}"),
        f if f >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        let figures: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((median(&figures), percentile(&figures, 99.0)), (50.0, 99.0));
        assert_eq!(median(&[]), 0.0);
        assert_eq!(percentile(&[3.0], 99.0), 3.0);
    }
}
