//! How far a long look has come: one line that is written over, on a terminal only.

use std::io::{self, IsTerminal, Write};

const CELLS: usize = 24;

/// Writes to the standard error, so that what is found can be piped on.
pub(in crate::cli) struct Progress {
    is_terminal: bool,
}

impl Progress {
    pub(in crate::cli) fn of_process() -> Self {
        Self { is_terminal: io::stderr().is_terminal() }
    }

    /// `[######------] 57/247 found 3`; without an end only the words.
    pub(in crate::cli) fn show(&self, done: usize, of: Option<usize>, words: &str) {
        if !self.is_terminal {
            return;
        }
        let bar = of.map(|of| bar(done, of)).unwrap_or_default();
        self.write(&format!("\r{bar}{words}\x1b[K"));
    }

    /// Before anything else is written.
    pub(in crate::cli) fn clear(&self) {
        if self.is_terminal {
            self.write("\r\x1b[K");
        }
    }

    fn write(&self, text: &str) {
        let mut err = io::stderr();
        drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
    }
}

fn bar(done: usize, of: usize) -> String {
    let full = (done * CELLS).checked_div(of).unwrap_or(CELLS).min(CELLS);
    format!("[{}{}] {done}/{of} ", "#".repeat(full), "-".repeat(CELLS - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_from_empty_to_full() {
        assert_eq!(bar(0, 247), format!("[{}] 0/247 ", "-".repeat(CELLS)));
        assert_eq!(bar(247, 247), format!("[{}] 247/247 ", "#".repeat(CELLS)));
        assert_eq!(bar(1, 2), format!("[{}{}] 1/2 ", "#".repeat(12), "-".repeat(12)));
    }
}
