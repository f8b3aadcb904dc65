//! Texts into values, as people write them: durations, numbers of a table, names close to a misspelt one.
//! Pure; each failure says what to write instead.

use std::time::Duration;

/// What to write where a duration is wrong.
pub(super) const DURATION_HINT: &str = "write 500ms, 30s, 1m, 2h or 1d";

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A whole number and a unit. `None`: it is no duration.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*millis)?))
}

/// A duration as it would be written, in the largest unit that holds it whole.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let whole = |(_, unit): &&(&str, u64)| millis > 0 && millis.is_multiple_of(u128::from(*unit));
    match UNITS.iter().rev().find(whole) {
        Some((name, unit)) => format!("{}{name}", millis / u128::from(*unit)),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// A number of a point table. Blanks around it are tolerated, nothing else: a number that is read
/// otherwise than it was meant is a limit that does not trip.
pub(super) fn number(text: &str) -> Result<f64, String> {
    let text = text.trim();
    match text.parse::<f64>() {
        // `inf` and `nan` are numbers to the parser, not to a plant.
        Ok(number) if number.is_finite() => return Ok(number),
        Ok(_) => return Err("write a finite number".to_owned()),
        Err(_) => {}
    }
    let narrow = half_width(text);
    if narrow != text && narrow.trim().parse::<f64>().is_ok() {
        return Err(format!("write it in half-width digits: {}", narrow.trim()));
    }
    let joined: String = text.chars().filter(|c| !matches!(c, ',' | ' ' | '\'')).collect();
    if joined != text && joined.parse::<f64>().is_ok() {
        return Err(format!("write it without separators: {joined}"));
    }
    let digits = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(0);
    match text.split_at_checked(digits) {
        Some((number, unit)) if number.parse::<f64>().is_ok() => {
            Err(format!("write {number} alone; '{}' belongs in the column eu 工程单位", unit.trim()))
        }
        Some(_) | None => Err("write a number such as 12.5 or -3".to_owned()),
    }
}

/// Full-width forms (U+FF01 to U+FF5E, U+3000) as their plain counterparts.
pub(super) fn half_width(text: &str) -> String {
    let narrow = |c: char| match u32::from(c) {
        0x3000 => ' ',
        code @ 0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(c),
        _ => c,
    };
    text.chars().map(narrow).collect()
}

/// The name most like `given`, where one is like it at all.
pub(crate) fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = given.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// `did you mean 'x'?`, or the whole list where nothing is near and the list is short.
pub(super) fn suggest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    match nearest(given, names.iter().copied()) {
        Some(name) => Some(format!("did you mean '{name}'?")),
        None if names.is_empty() => None,
        None => {
            let more = if names.len() > LISTED_MAX { ", …" } else { "" };
            let listed: Vec<&str> = names.into_iter().take(LISTED_MAX).collect();
            Some(format!("there are: {}{more}", listed.join(", ")))
        }
    }
}

/// What plant people call the keys that they forget, or write in Chinese.
const IN_CHINESE: [(&str, &str); 26] = [
    ("id", "编号"),
    ("name", "名称"),
    ("company", "企业编码"),
    ("timezone", "时区"),
    ("host", "地址"),
    ("port", "端口"),
    ("user", "用户名"),
    ("password_file", "密码文件"),
    ("device_id", "站号"),
    ("period", "周期"),
    ("timeout", "超时"),
    ("order", "字节序"),
    ("hazard_code", "风险分析对象编码"),
    ("base_class", "风险等级"),
    ("liable_person", "责任人"),
    ("unit", "单元"),
    ("event", "风险事件"),
    ("measure", "管控措施"),
    ("content", "排查内容"),
    ("cycle", "排查周期"),
    ("assignee", "执行人"),
    ("limit", "限员"),
    ("priority", "优先级"),
    ("guidance", "处置建议"),
    ("source", "数据源"),
    ("classify1", "管控措施分类1"),
];

/// The Chinese name of a key.
pub(super) fn in_chinese(key: &str) -> Option<&'static str> {
    IN_CHINESE.iter().find(|(name, _)| *name == key).map(|(_, chinese)| *chinese)
}

/// The key of a Chinese name.
pub(super) fn from_chinese(name: &str) -> Option<&'static str> {
    IN_CHINESE.iter().find(|(_, chinese)| *chinese == name).map(|(key, _)| *key)
}

/// Names in a hint. More are no help.
const LISTED_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let millis = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis(" 30s "), Some(30_000));
        assert_eq!(millis("1d"), Some(86_400_000));
        for wrong in
            ["", "5", "s", "5 s", "1.5s", "-1s", "5sec", "5秒", "99999999999999999999d", "20000000000000000d"]
        {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_would_be_written() {
        for text in ["500ms", "90s", "1m", "2h", "1d"] {
            assert_eq!(duration(text).map(duration_text).as_deref(), Some(text));
        }
        assert_eq!(duration_text(Duration::ZERO), "0s");
    }

    #[test]
    fn a_number_is_never_guessed() {
        assert_eq!(number(" 12.5 "), Ok(12.5));
        assert_eq!(number("-1e3"), Ok(-1000.0));
        let hint = |text| number(text).expect_err("no number");
        assert!(hint("２５").contains("half-width digits: 25"));
        assert!(hint("1,000").contains("without separators: 1000"));
        assert!(hint("25%LEL").contains("write 25 alone; '%LEL' belongs"));
        assert!(hint("NaN").contains("finite"));
        assert!(hint("高").contains("write a number"));
    }

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let names = ["priority", "guidance", "hazard"];
        assert_eq!(nearest("prioritty", names), Some("priority"));
        assert_eq!(nearest("zzz", names), None);
        assert_eq!(suggest("zzz", names).as_deref(), Some("there are: priority, guidance, hazard"));
    }
}
