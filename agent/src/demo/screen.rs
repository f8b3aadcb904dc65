//! The demo's own lines on standard output: Chinese first, English below, colour on a terminal only.
//!
//! Colour never carries anything that the words do not say.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// How a line stands out on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// English beside the Chinese, and what is only for orientation.
    Quiet,
    /// A step of the scenario.
    Step,
    Good,
    Attention,
    Danger,
    /// The unit's colours.
    Red,
    Orange,
    Yellow,
    Blue,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    colour: bool,
    silent: bool,
}

impl Screen {
    /// Colour where standard output is a terminal and `NO_COLOR` is not set.
    pub(super) fn stdout() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, silent: false }
    }

    /// Says nothing.
    #[cfg(test)]
    pub(super) const fn silent() -> Self {
        Self { colour: false, silent: true }
    }

    pub(super) fn line(self, tone: Tone, text: &str) {
        self.write(&self.paint(tone, text));
    }

    /// A line with the time since the start, and its English below.
    pub(super) fn timed(self, at: Option<Duration>, tone: Tone, zh: &str, en: &str) {
        let time = at.map_or_else(|| " ".repeat(9), |at| format!("{:7.2} s", at.as_secs_f64()));
        self.write(&format!("{time}  {}", self.paint(tone, zh)));
        if !en.is_empty() {
            self.write(&format!("{:11}{}", "", self.paint(Tone::Quiet, en)));
        }
    }

    pub(super) fn blank(self) {
        self.write("");
    }

    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Quiet => "2",
            Tone::Step => "1;36",
            Tone::Good => "32",
            Tone::Attention => "33",
            Tone::Danger => "1;31",
            Tone::Red => "1;37;41",
            Tone::Orange => "1;30;48;5;208",
            Tone::Yellow => "1;30;43",
            Tone::Blue => "1;37;44",
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn write(self, text: &str) {
        if self.silent {
            return;
        }
        // A reader that has gone away (`| head`) does not end the demo, which still judges its scenario.
        let _written = writeln!(std::io::stdout().lock(), "{text}");
    }
}
