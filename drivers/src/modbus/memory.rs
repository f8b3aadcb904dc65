//! What is remembered of a device's points from one reply to the next: the registers beside them, where
//! those come in replies of their own, and how long a current loop has failed.
//!
//! A value is worth no more than the registers that say how to read it. So nothing is remembered longer
//! than it holds, and a register that was never read, was refused or has grown old makes its value bad.

use std::collections::HashMap;

use riskgate_point::{BadReason, Mono};

use super::Register;
use super::plan::{Part, Read};
use crate::current_loop::Loop;

/// Of one device. Only points that have something to be remembered take room in it.
#[derive(Debug, Default)]
pub struct Memory {
    /// By the point's place in [`super::Device::points`].
    points: HashMap<usize, Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    decimals: Told,
    status: Told,
    current: Loop,
}

/// What a register beside a point last said.
#[derive(Debug, Clone, Copy, Default)]
enum Told {
    #[default]
    Never,
    Read {
        register: u16,
        at: Mono,
    },
    Failed(BadReason),
}

impl Memory {
    /// The read brought nothing: what its registers say is not known until they are read again.
    pub fn failed(&mut self, read: &Read, reason: BadReason) {
        for (place, part) in &read.beside {
            *self.told(*place, *part) = Told::Failed(reason);
        }
    }

    pub(super) fn read(&mut self, place: usize, part: Part, register: u16, at: Mono) {
        *self.told(place, part) = Told::Read { register, at };
    }

    /// What the register beside the point says now, or why nobody knows.
    pub(super) fn beside(
        &self,
        place: usize,
        part: Part,
        register: &Register,
        now: Mono,
    ) -> Result<u16, BadReason> {
        let told = self.points.get(&place).map_or(Told::Never, |of| match part {
            Part::Decimals => of.decimals,
            Part::Status => of.status,
        });
        match told {
            Told::Never => Err(BadReason::NeverRead),
            Told::Failed(reason) => Err(reason),
            Told::Read { at, .. } if now.since(at) > register.good_for => Err(BadReason::Stale),
            Told::Read { register, .. } => Ok(register),
        }
    }

    pub(super) fn current_loop(&mut self, place: usize) -> &mut Loop {
        &mut self.points.entry(place).or_default().current
    }

    fn told(&mut self, place: usize, part: Part) -> &mut Told {
        let of = self.points.entry(place).or_default();
        match part {
            Part::Decimals => &mut of.decimals,
            Part::Status => &mut of.status,
        }
    }
}
