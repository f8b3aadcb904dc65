//! Addresses as people write them: a Modbus register, an MQTT topic, a host, a URL. Pure; each failure
//! says what is wrong and what to write. Node ids and JSON paths are read by their drivers.

use riskgate_drivers::modbus::{Bit, Table};

/// What is wrong with an address, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

fn wrong<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), hint: Some(hint.into()) })
}

const TABLES: [(&str, Table); 4] = [
    ("holding", Table::Holding),
    ("input", Table::Input),
    ("coil", Table::Coil),
    ("discrete", Table::Discrete),
];

/// Where a value lies on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Register {
    pub(super) table: Table,
    pub(super) address: u16,
    /// The one bit of the register that is meant.
    pub(super) bit: Option<Bit>,
}

/// `holding:100`: a table and a number that counts from `base`; in hexadecimal as `holding:0x64`. One bit of
/// a register is `holding:100.3`, where bit 0 is the least significant. `registers` is how many the value takes.
pub(super) fn register(text: &str, base: u16, registers: u16) -> Result<Register, Wrong> {
    let Some((name, place)) = text.split_once(':') else {
        return no_table(text, base);
    };
    let Some((_, table)) = TABLES.iter().find(|(word, _)| word.eq_ignore_ascii_case(name.trim())) else {
        let words: Vec<&str> = TABLES.iter().map(|(word, _)| *word).collect();
        return wrong(format!("'{name}' is no Modbus table"), format!("one of: {}", words.join(", ")));
    };
    let (number, bit) = match place.split_once('.') {
        Some((number, bit)) => (number, Some(bit)),
        None => (place, None),
    };
    let Some(number) = number_of(number.trim()) else {
        return wrong(format!("'{number}' is no register number"), format!("write {name}:100"));
    };
    let bit = bit.map(|bit| bit_of(*table, number, bit, registers)).transpose()?;
    let last = u32::from(u16::MAX) - u32::from(registers - 1);
    match number.checked_sub(u32::from(base)).filter(|wire| *wire <= last).map(u16::try_from) {
        Some(Ok(address)) => Ok(Register { table: *table, address, bit }),
        Some(Err(_)) | None => {
            let allowed = format!("allowed: {base} to {}", last + u32::from(base));
            let why = match registers {
                1 => format!(" (address_base = {base})"),
                _ => format!(" (address_base = {base}, the value takes {registers} registers)"),
            };
            wrong(format!("register {number} is out of range"), allowed + &why)
        }
    }
}

fn number_of(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn bit_of(table: Table, number: u32, bit: &str, registers: u16) -> Result<Bit, Wrong> {
    let whole = format!("{}:{number}", table.word());
    match bit.trim().parse().ok().and_then(Bit::new) {
        _ if table.is_bits() => {
            wrong(format!("{whole} is one bit already"), format!("write {whole} without a bit"))
        }
        _ if registers > 1 => {
            wrong("a bit is of one register".to_owned(), "leave its type empty, or write bool".to_owned())
        }
        Some(bit) => Ok(bit),
        None => {
            let hint = format!("write {whole}.0, the least significant, to {whole}.15");
            wrong(format!("'{bit}' is no bit of a register"), hint)
        }
    }
}

/// The old habit of writing the table as the first digit, 40001 or 4x0001 for the first holding register: one
/// digit too many or too few is another register, so it is not guessed at, only explained.
fn no_table<T>(text: &str, base: u16) -> Result<T, Wrong> {
    let message = format!("'{text}' does not say which table it is of");
    let (digits, bit) = match text.split_once('.') {
        Some((digits, bit)) => (digits, format!(".{bit}")),
        None => (text, String::new()),
    };
    let table = match digits.chars().next() {
        Some('4') => Some("holding"),
        Some('3') => Some("input"),
        Some('1') => Some("discrete"),
        Some('0') => Some("coil"),
        _ => None,
    };
    let rest = digits.get(1..).unwrap_or_default();
    let number = match rest.strip_prefix(['x', 'X']) {
        // 0x begins a hexadecimal number as well as a coil.
        Some(_) if table == Some("coil") => None,
        Some(number) => Some(number),
        None => Some(rest).filter(|rest| matches!(rest.len(), 4 | 5)),
    };
    let number = number.and_then(|number| number.parse::<u32>().ok()).filter(|number| *number > 0);
    match (table, number) {
        (Some(table), Some(number)) => {
            let counted = number - 1 + u32::from(base);
            wrong(message, format!("write {table}:{counted}{bit} (address_base = {base})"))
        }
        (Some(_) | None, _) => wrong(message, "write holding:100, input:100, coil:5 or discrete:7"),
    }
}

/// A filter to subscribe to: `+` stands alone between slashes, `#` alone at the end.
pub(super) fn topic_filter(text: &str) -> Result<(), Wrong> {
    let levels: Vec<&str> = text.split('/').collect();
    for (at, level) in levels.iter().enumerate() {
        if level.contains('#') && (*level != "#" || at + 1 != levels.len()) {
            return wrong("'#' stands alone and last", "write plant/rtls/#");
        }
        if level.contains('+') && *level != "+" {
            return wrong("'+' stands alone between slashes", "write plant/+/fix");
        }
    }
    topic_characters(text)
}

/// A topic of one point: no wildcards, or two devices would be read as one.
pub(super) fn topic(text: &str) -> Result<(), Wrong> {
    if text.contains(['+', '#']) {
        return wrong(
            "the topic of a point has no wildcards",
            "write the whole topic, one row for each point",
        );
    }
    topic_characters(text)
}

/// The topic on which a feed speaks of itself: no wildcards, or one device would speak for all.
pub(super) fn exact_topic(text: &str) -> Result<(), Wrong> {
    if text.contains(['+', '#']) {
        return wrong(
            "the topic of a status has no wildcards: it speaks for the whole source",
            "write one topic; devices that come and go by themselves are told by stale_after of their points",
        );
    }
    topic_characters(text)
}

fn topic_characters(text: &str) -> Result<(), Wrong> {
    if text.contains(char::is_control) {
        return wrong("a topic has no control characters", "write plant/tank-1/level");
    }
    if text.len() > usize::from(u16::MAX) {
        return wrong("a topic has at most 65535 bytes", "write a shorter one");
    }
    if text.starts_with("$share/") {
        return wrong("a shared subscription gives each reader a part", "subscribe to the topic itself");
    }
    Ok(())
}

/// One level of an MQTT topic, which ids become.
pub(super) fn topic_level(text: &str) -> Result<(), Wrong> {
    match text.chars().find(|c| matches!(c, '/' | '+' | '#') || c.is_whitespace() || c.is_control()) {
        Some(' ') => wrong("an id has no blanks", "write tank-a"),
        Some(other) => wrong(format!("an id has no {other:?}"), "it becomes a part of topics: write tank-a"),
        None => Ok(()),
    }
}

/// A name or an address of a machine, without scheme and port.
pub(super) fn host(text: &str) -> Result<(), Wrong> {
    if let Some((_, rest)) = text.split_once("://") {
        return wrong("a host has no scheme", format!("write host = \"{}\"", bare_host(rest)));
    }
    let is_ip6 = text.parse::<std::net::Ipv6Addr>().is_ok();
    if text.contains(':') && !is_ip6 {
        return wrong(
            "a host has no port",
            format!("write host = \"{}\" and port beside it", bare_host(text)),
        );
    }
    match text.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))) {
        Some(other) => wrong(format!("a host has no {other:?}"), "write 10.0.0.5 or plc-1.plant.local"),
        None => Ok(()),
    }
}

fn bare_host(text: &str) -> &str {
    text.split([':', '/']).next().unwrap_or(text)
}

/// `opc.tcp://host:port/path`
pub(super) fn opcua_url(text: &str) -> Result<(), Wrong> {
    const EXAMPLE: &str = "write opc.tcp://10.0.0.6:4840";
    let Some(rest) = text.strip_prefix("opc.tcp://") else {
        return wrong(format!("'{text}' is no address of an OPC UA server"), EXAMPLE);
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (name, port) = match authority.rsplit_once(':') {
        // The last colon of a bare IPv6 address is no port.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        Some(_) | None => (authority, None),
    };
    host(name.trim_start_matches('[').trim_end_matches(']'))?;
    if name.is_empty() {
        return wrong("the URL names no host", EXAMPLE);
    }
    match port.map(str::parse::<u16>) {
        Some(Ok(0) | Err(_)) => wrong("the port is 1 to 65535", EXAMPLE),
        Some(Ok(_)) | None if rest.contains(char::is_whitespace) => wrong("a URL has no blanks", EXAMPLE),
        Some(Ok(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint<T: std::fmt::Debug>(read: Result<T, Wrong>) -> String {
        read.expect_err("it is wrong").hint.expect("it has a hint")
    }

    fn at(table: Table, address: u16) -> Result<Register, Wrong> {
        Ok(Register { table, address, bit: None })
    }

    #[test]
    fn a_register_counts_from_the_base() {
        assert_eq!(register("holding:100", 0, 1), at(Table::Holding, 100));
        assert_eq!(register("Input:1", 1, 2), at(Table::Input, 0));
        assert_eq!(register("coil:65536", 1, 1), at(Table::Coil, 65535));
        assert_eq!(register("holding:0x0101", 0, 1), at(Table::Holding, 257));
        assert_eq!(register("holding:0XFFFF", 0, 1), at(Table::Holding, 65535));
    }

    #[test]
    fn one_bit_of_a_register_stands_behind_a_dot() {
        for (text, address, bit) in
            [("holding:100.3", 100, 3), ("input:0x10.15", 16, 15), ("holding:1.0", 1, 0)]
        {
            let read = register(text, 0, 1).expect("it is right");
            assert_eq!((read.address, read.bit), (address, Bit::new(bit)));
        }
        assert!(hint(register("holding:100.16", 0, 1)).starts_with("write holding:100.0, the least"));
        assert!(hint(register("holding:100.", 0, 1)).starts_with("write holding:100.0, the least"));
        assert_eq!(hint(register("coil:5.3", 0, 1)), "write coil:5 without a bit");
        assert!(hint(register("holding:5.3", 0, 2)).contains("leave its type empty"));
    }

    #[test]
    fn a_register_beyond_the_last_is_refused_and_so_is_half_a_value() {
        assert_eq!(hint(register("holding:65536", 0, 1)), "allowed: 0 to 65535 (address_base = 0)");
        assert_eq!(hint(register("holding:0", 1, 1)), "allowed: 1 to 65536 (address_base = 1)");
        assert!(hint(register("holding:65535", 0, 2)).starts_with("allowed: 0 to 65534"));
        assert_eq!(hint(register("holding:x", 0, 1)), "write holding:100");
        assert_eq!(hint(register("holding:0x", 0, 1)), "write holding:100");
        assert!(hint(register("holdng:1", 0, 1)).starts_with("one of: holding"));
    }

    #[test]
    fn the_old_five_digits_are_explained() {
        assert_eq!(hint(register("40001", 0, 1)), "write holding:0 (address_base = 0)");
        assert_eq!(hint(register("400101", 0, 1)), "write holding:100 (address_base = 0)");
        assert_eq!(hint(register("30010", 1, 1)), "write input:10 (address_base = 1)");
        assert_eq!(hint(register("00005", 0, 1)), "write coil:4 (address_base = 0)");
        assert_eq!(hint(register("4x101", 0, 1)), "write holding:100 (address_base = 0)");
        assert_eq!(hint(register("40001.3", 0, 1)), "write holding:0.3 (address_base = 0)");
        for unclear in ["100", "位置", "0x0101", "4000001", "40000", ""] {
            assert!(hint(register(unclear, 0, 1)).starts_with("write holding:100"), "{unclear}");
        }
    }

    #[test]
    fn wildcards_stand_alone() {
        for good in ["a/b", "+/b", "a/+/c", "a/#", "#", "/a"] {
            assert_eq!(topic_filter(good), Ok(()), "{good}");
        }
        for bad in ["a/#/b", "a#", "a/b+", "+a/b", "$share/g/a", "a\u{0}b"] {
            assert!(topic_filter(bad).is_err(), "{bad}");
        }
        assert!(topic("a/+/c").is_err());
    }

    #[test]
    fn hosts_and_urls() {
        for good in ["10.0.0.5", "plc-1.local", "::1", "localhost"] {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        assert_eq!(hint(host("tcp://10.0.0.5:502")), "write host = \"10.0.0.5\"");
        assert!(hint(host("10.0.0.5:502")).starts_with("write host = \"10.0.0.5\" and port"));
        for good in ["opc.tcp://10.0.0.6:4840", "opc.tcp://h:1/UA/x", "opc.tcp://h", "opc.tcp://[::1]:4840"] {
            assert_eq!(opcua_url(good), Ok(()), "{good}");
        }
        for bad in ["10.0.0.6:4840", "opc.tcp://", "opc.tcp://h:0", "opc.tcp://h:x", "opc.tcp://h/a b"] {
            assert!(opcua_url(bad).is_err(), "{bad}");
        }
    }
}
