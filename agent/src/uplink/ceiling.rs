//! How large a message of readings may be, as far as the broker takes it. Pure.
//!
//! MQTT 3.1.1 has no word for why a broker hangs up: the message may be too large, or one reading in it may be what the
//! broker will not have. Both are found in one way. Each time that it hangs up on several readings they go in messages
//! half as large, down to one reading each; a single one that it hangs up on is suspected like any message
//! ([`super::suspect`]) and set aside. That explains what was, and messages are as large again as before. Where nothing
//! explains it they grow again after a while, since a link that broke by chance says nothing about sizes; growth that
//! the broker hangs up on makes that while twice as long.

/// Messages that are to be acknowledged before larger ones are tried: a minute of a living plant.
const PATIENCE_MIN: u32 = 64;

/// Three days of messages each second: what a broker with a bound of its own is spared.
const PATIENCE_MAX: u32 = 1 << 18;

#[derive(Debug)]
pub(super) struct Ceiling {
    most: usize,
    bytes: usize,
    patience: u32,
    /// Until larger ones are tried.
    rest: u32,
    /// Larger ones are being tried.
    grew: bool,
}

impl Ceiling {
    pub(super) fn new(most: usize) -> Self {
        Self { most, bytes: most, patience: PATIENCE_MIN, rest: PATIENCE_MIN, grew: false }
    }

    /// At most so many bytes; at least one reading goes in any case.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The broker hung up on several readings of this size.
    pub(super) fn hung_up(&mut self, bytes: usize) {
        if std::mem::take(&mut self.grew) {
            self.patience = self.patience.saturating_mul(2).min(PATIENCE_MAX);
        }
        self.bytes = self.bytes.min(bytes / 2).max(1);
        self.rest = self.patience;
    }

    /// The broker took one.
    pub(super) fn acknowledged(&mut self) {
        if self.bytes >= self.most {
            return;
        }
        self.rest = self.rest.saturating_sub(1);
        if self.rest == 0 {
            self.bytes = self.bytes.saturating_mul(2).min(self.most);
            (self.rest, self.grew) = (self.patience, true);
        }
    }

    /// It was one reading.
    pub(super) fn explained(&mut self) {
        (self.bytes, self.rest, self.grew) = (self.most, self.patience, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_down_to_one_reading_and_grows_again_once_messages_are_taken() {
        let mut ceiling = Ceiling::new(1_000);
        ceiling.hung_up(900);
        assert_eq!(ceiling.bytes(), 450);
        (0..20).for_each(|_| ceiling.hung_up(ceiling.bytes()));
        assert_eq!(ceiling.bytes(), 1, "a single reading goes in any case");
        (0..PATIENCE_MIN * 10).for_each(|_| ceiling.acknowledged());
        assert_eq!(ceiling.bytes(), 1_000);
        ceiling.hung_up(1_000);
        ceiling.explained();
        assert_eq!(ceiling.bytes(), 1_000);
    }

    #[test]
    fn a_broker_with_a_bound_of_its_own_is_tried_more_and_more_seldom() {
        let (mut ceiling, mut tries, mut all) = (Ceiling::new(1_000), 0, 0);
        ceiling.hung_up(1_000);
        // A week of messages each second.
        for _ in 0..7 * 86_400 {
            ceiling.acknowledged();
            if ceiling.bytes() > 500 {
                ceiling.hung_up(ceiling.bytes());
                tries += 1;
            }
            all += 1;
        }
        assert!((5..20).contains(&tries), "{tries} of {all}");
    }
}
