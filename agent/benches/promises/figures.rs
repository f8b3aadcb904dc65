//! The table: a line for each figure, with what it means and the bar of design.md where there is one.

use std::time::Duration;

pub(crate) struct Figures;

impl Figures {
    pub(crate) fn begin() -> Self {
        println!("{:<44} {:>12} {:<10} {:<14} meaning", "what", "figure", "unit", "bar");
        Self
    }

    pub(crate) fn part(&mut self, name: &str) {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let minute = load.split_whitespace().next().unwrap_or("?");
        println!("-- {name} (load {minute})");
    }

    /// What a part does takes a while: a person who waits sees which.
    pub(crate) fn doing(&mut self, what: &str) {
        println!("   … {what}");
    }

    pub(crate) fn tell(&mut self, what: &str, figure: f64, unit: &str, bar: &str, meaning: &str) {
        let digits = if figure.abs() >= 100.0 { 0 } else { 2 };
        println!("{what:<44} {figure:>12.digits$} {unit:<10} {bar:<14} {meaning}");
    }

    /// Median and 99th of a hundred, in ms.
    pub(crate) fn spans(&mut self, what: &str, spans: &Spans, bar: &str, meaning: &str) {
        let of = format!("{meaning}, of {}", spans.0.len());
        self.tell(&format!("{what} p50"), spans.percentile(0.5), "ms", "", &of);
        self.tell(&format!("{what} p99"), spans.percentile(0.99), "ms", bar, &of);
    }
}

/// Times that something took, in rising order.
pub(crate) struct Spans(Vec<Duration>);

impl Spans {
    pub(crate) fn of(mut spans: Vec<Duration>) -> Self {
        spans.sort_unstable();
        Self(spans)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let at = (self.0.len() as f64 * share) as usize;
        self.0.get(at.min(self.0.len().saturating_sub(1))).map_or(f64::NAN, |span| millis(*span))
    }

    pub(crate) fn longest(&self) -> f64 {
        self.0.last().map_or(f64::NAN, |span| millis(*span))
    }
}

pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}
