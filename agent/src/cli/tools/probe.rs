//! `riskgate probe modbus`: asks for a register and its neighbours, and tells what they could mean.

use std::num::NonZeroU8;
use std::time::Duration;

use riskgate_drivers::modbus::guess::{self, Expected, Piece};
use riskgate_drivers::modbus::query::{Heard, Patience, ask};
use riskgate_drivers::modbus::{Line, Reply, Request, Table};

use super::super::{Outcome, Screen};
use super::args::{ProbeModbus, TableWord};
use super::{likely, on_one_thread};

const CONNECT: Duration = Duration::from_secs(3);
/// A value of 64 bits.
const WIDEST: u16 = 4;
const ADDRESSES: u32 = 65_536;

/// What is asked for, as the wire counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) table: Table,
    pub(super) address: u16,
    /// How the number was read, where it was not taken as it stands.
    pub(super) habit: Option<String>,
}

pub(super) fn modbus(args: &ProbeModbus, screen: &mut Screen) -> Outcome {
    let checked =
        args.line.endpoint().and_then(|endpoint| Ok((endpoint, asked(&args.register, args.table)?)));
    let (endpoint, asked) = match checked {
        Ok(checked) => checked,
        Err(why) => {
            screen.problem(&why);
            return Outcome::Usage;
        }
    };
    if let Some(habit) = &asked.habit {
        screen.say(habit);
    }
    let line = Line::new(endpoint);
    let patience = Patience { timeout: args.timeout, connect_timeout: CONNECT, pause: Duration::ZERO };
    let text_registers = NonZeroU8::new(args.count).unwrap_or(NonZeroU8::MIN);
    let questions = Questions { line: &line, device_id: args.device_id, table: asked.table, patience };
    let came =
        on_one_thread(questions.around(asked.address, u16::from(text_registers.get()))).and_then(|came| came);
    let Came { pieces, refused } = match came {
        Ok(came) => came,
        Err(why) => {
            screen.problem(&format!("没有读到 nothing was read: {why}"));
            return Outcome::Refused;
        }
    };
    let wanted = args.expect.as_ref().or(args.range.as_ref());
    let guess = guess::guess(asked.table, asked.address, &pieces, text_registers, wanted);
    let told =
        likely::Told { asked: &asked, pieces: &pieces, refused: &refused, guess: &guess, wanted, args };
    screen.say(&told.render(screen.width));
    if guess.likely.is_empty() { Outcome::Refused } else { Outcome::Done }
}

/// What was answered, and which addresses were refused with what words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) pieces: Vec<Piece>,
    pub(super) refused: Vec<String>,
}

struct Questions<'l> {
    line: &'l Line,
    device_id: u8,
    table: Table,
    patience: Patience,
}

impl Questions<'_> {
    /// In one read where the device allows it; else what each address gives by itself, as wide as it can.
    async fn around(&self, asked: u16, text: u16) -> Result<Came, String> {
        let first = asked.saturating_sub(1);
        // The widest value that begins one behind what was asked for.
        let width = if self.table.is_bits() { 1 } else { WIDEST.max(text) };
        let last = (u32::from(asked) + 1 + u32::from(width)).min(ADDRESSES);
        let count = u16::try_from(last - u32::from(first)).unwrap_or(1);
        let mut came = Came::default();
        let whole = self.ask(first, count).await;
        match whole {
            Heard::Values(reply) => {
                came.pieces.push(Piece { address: first, reply });
                return Ok(came);
            }
            Heard::Unreachable { why } => return Err(why),
            Heard::Refused { .. } | Heard::Silent { .. } => {}
        }
        let mut answers = matches!(whole, Heard::Refused { .. });
        for address in [Some(asked), asked.checked_sub(1), asked.checked_add(1)].into_iter().flatten() {
            let (piece, heard) = self.widest(address, width).await;
            match &heard {
                Heard::Values(_) | Heard::Refused { .. } => answers = true,
                // Asking on would take a timeout for each.
                Heard::Silent { why } | Heard::Unreachable { why } if !answers => return Err(why.clone()),
                Heard::Silent { .. } | Heard::Unreachable { .. } => {}
            }
            match (piece, heard) {
                (Some(piece), _) => came.pieces.push(piece),
                (None, Heard::Values(_)) => {}
                (None, Heard::Refused { why, .. } | Heard::Silent { why } | Heard::Unreachable { why }) => {
                    came.refused.push(why)
                }
            }
        }
        if came.pieces.is_empty() { Err(came.refused.join("\n")) } else { Ok(came) }
    }

    /// The widest read from this address on that is answered, and the last thing that was heard.
    async fn widest(&self, address: u16, width: u16) -> (Option<Piece>, Heard) {
        let left = ADDRESSES - u32::from(address);
        let mut widths = vec![width, WIDEST, 2, 1];
        widths.retain(|count| u32::from(*count) <= left && *count <= width);
        widths.dedup();
        let mut last = Heard::Silent { why: String::new() };
        for count in widths {
            let heard = self.ask(address, count).await;
            if let Heard::Values(reply) = &heard {
                return (Some(Piece { address, reply: reply.clone() }), heard);
            }
            let is_silence = !matches!(heard, Heard::Refused { .. });
            last = heard;
            // One that does not answer here is asked for the one register alone, and no more.
            if is_silence && count != 1 {
                let heard = self.ask(address, 1).await;
                let piece = match &heard {
                    Heard::Values(reply) => Some(Piece { address, reply: reply.clone() }),
                    Heard::Refused { .. } | Heard::Silent { .. } | Heard::Unreachable { .. } => None,
                };
                return (piece, heard);
            }
        }
        (None, last)
    }

    async fn ask(&self, address: u16, count: u16) -> Heard {
        ask(self.line, self.device_id, Request { table: self.table, address, count }, self.patience).await.0
    }
}

/// 40101, the old habit, is the 101st holding register: 100 on the wire.
pub(super) fn asked(text: &str, said: Option<TableWord>) -> Result<Asked, String> {
    let text = text.trim();
    let plain = |address| Asked { table: said.map_or(Table::Holding, Table::from), address, habit: None };
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let address = u16::from_str_radix(digits, 16).ok();
        return address.map(plain).ok_or_else(|| no_register(text));
    }
    let habits = [
        ('4', Table::Holding, said.is_none()),
        ('3', Table::Input, said.is_none()),
        ('1', Table::Discrete, false),
    ];
    let of_habit = habits.iter().find_map(|(digit, table, alone)| {
        let rest = text.strip_prefix(*digit)?;
        let (rest, is_certain) = match rest.strip_prefix(['x', 'X']) {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let is_meant = is_certain || *alone || said.map(Table::from) == Some(*table);
        let fits = is_certain || matches!(rest.len(), 4 | 5);
        let number = rest.parse::<u32>().ok().filter(|number| (1..=ADDRESSES).contains(number))?;
        (is_meant && fits).then_some((*table, u16::try_from(number - 1).ok()?))
    });
    if let Some((table, address)) = of_habit {
        let word = table.word();
        let habit = format!(
            "{text} 按旧式编号理解 is read as of the old habit, which counts from 1: {word} 表第 {nth} 个 \
             the {word} register number {nth}, 报文地址 {address} on the wire",
            nth = u32::from(address) + 1,
        );
        return Ok(Asked { table, address, habit: Some(habit) });
    }
    text.parse::<u16>().map(plain).map_err(|_| no_register(text))
}

fn no_register(text: &str) -> String {
    format!("'{text}' 不是寄存器号 is no register; 写 100、0x64 或 40101 / write 100, 0x64 or 40101")
}

/// How the registers that came read one by one.
pub(super) fn words_of(pieces: &[Piece]) -> Vec<(u16, u16)> {
    let mut words: Vec<(u16, u16)> = Vec::new();
    for piece in pieces {
        let values: Vec<u16> = match &piece.reply {
            Reply::Registers(words) => words.clone(),
            Reply::Bits(bits) => bits.iter().map(|bit| u16::from(*bit)).collect(),
        };
        words.extend((piece.address..=u16::MAX).zip(values));
    }
    words.sort_unstable();
    words.dedup_by_key(|(address, _)| *address);
    words
}

/// What the person expects, in words.
pub(super) fn wanted_text(wanted: &Expected) -> String {
    match wanted {
        Expected::Number { value, .. } => value.to_string(),
        Expected::Range { low, high } => format!("{low}..{high}"),
        Expected::Text(text) => format!("'{text}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, table: Option<TableWord>) -> Option<(Table, u16, bool)> {
        asked(text, table).ok().map(|asked| (asked.table, asked.address, asked.habit.is_some()))
    }

    #[test]
    fn the_old_habit_is_explained_and_counted_from_zero() {
        assert_eq!(read("100", None), Some((Table::Holding, 100, false)));
        assert_eq!(read("0x64", Some(TableWord::Input)), Some((Table::Input, 100, false)));
        assert_eq!(read("40101", None), Some((Table::Holding, 100, true)));
        assert_eq!(read("400101", None), Some((Table::Holding, 100, true)));
        assert_eq!(read("4x0101", None), Some((Table::Holding, 100, true)));
        assert_eq!(read("30001", None), Some((Table::Input, 0, true)));
        assert_eq!(read("10005", Some(TableWord::Discrete)), Some((Table::Discrete, 4, true)));
    }

    #[test]
    fn a_number_that_stands_beside_another_table_is_taken_as_it_is() {
        assert_eq!(read("40101", Some(TableWord::Input)), Some((Table::Input, 40_101, false)));
        assert_eq!(read("10005", None), Some((Table::Holding, 10_005, false)));
        assert_eq!(read("0x9CA5", None), Some((Table::Holding, 40_101, false)));
        for wrong in ["", "-1", "65536", "abc", "40000x", "0x10000"] {
            assert_eq!(read(wrong, None), None, "{wrong}");
        }
    }
}
