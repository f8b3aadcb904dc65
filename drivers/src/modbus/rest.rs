//! For how many cycles the reads that break the connection are left alone.
//!
//! Pure. Each try of one costs its neighbours a timeout, so after one that broke it again all of them rest,
//! longer each time, until one of them is answered.

/// At a period of a second a read that is well again is back after so many seconds at most.
const CYCLES_MAX: u32 = 8;

#[derive(Default)]
pub(super) struct Rest {
    left: u32,
    next: u32,
}

impl Rest {
    /// Counts one cycle down.
    pub(super) fn is_over(&mut self) -> bool {
        let over = self.left == 0;
        self.left = self.left.saturating_sub(1);
        over
    }

    pub(super) fn lengthen(&mut self) {
        self.left = self.next;
        self.next = (self.next * 2).clamp(1, CYCLES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rest_is_longer_than_the_one_before_up_to_the_longest() {
        let mut rest = Rest::default();
        let mut tries = Vec::new();
        for cycle in 0..60 {
            if rest.is_over() {
                tries.push(cycle);
                rest.lengthen();
            }
        }
        let gaps: Vec<i32> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(gaps, [1, 2, 3, 5, 9, 9, 9, 9, 9]);
    }
}
