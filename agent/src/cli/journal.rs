//! `riskgate verify` and `riskgate journal`: the journal, proven and read. Both work on the store's folder, with or
//! without an agent that runs there, and change nothing in it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use riskgate_point::Wall;

use super::args::{JournalArgs, VerifyArgs, duration};
use super::place::{Place, place_of};
use super::{Outcome, Screen};
use crate::causes::chain;
use crate::store::StoreError;
use crate::store::journal::{self, Broken, Entry, Filter, Head, Proof};
use crate::{clock, config};

/// A long journal takes a while: so often it is told how far it is.
const PROGRESS_ENTRIES: u64 = 100_000;

/// Names that an empty answer lists.
const NAMES_MAX: usize = 20;

pub(super) fn verify(args: &VerifyArgs, screen: &mut Screen) -> Outcome {
    let Place { dir, zone } = match place_of(&args.store, screen) {
        Ok(place) => place,
        Err(outcome) => return outcome,
    };
    let mut progress = |n: u64| {
        if n.is_multiple_of(PROGRESS_ENTRIES) {
            screen.problem(&format!("… {n}"));
        }
    };
    match journal::prove(&dir, args.head.as_ref(), &mut progress) {
        Ok(Ok(proof)) => {
            screen.say(&whole(&proof, &zone));
            Outcome::Done
        }
        Ok(Err(broken)) => {
            screen.problem(&in_words(&broken, &zone));
            Outcome::Refused
        }
        Err(error) => unread(&error, screen),
    }
}

fn whole(proof: &Proof, zone: &TimeZone) -> String {
    let Proof { entries, archives, unchained, first, last, head } = proof;
    let older = if *unchained == 0 {
        String::new()
    } else {
        format!(", and {unchained} older ones of before the chain")
    };
    format!(
        "日志完整 the journal is whole: {entries} entries from {} to {}, {archives} archives{older}\n{}:{}",
        stamp(*first, zone),
        stamp(*last, zone),
        head.n,
        head.hash
    )
}

fn in_words(broken: &Broken, zone: &TimeZone) -> String {
    let at = broken.at.map_or_else(|| "?".to_owned(), |at| stamp(at, zone));
    format!(
        "日志已断 the journal is broken at entry {} ({at}, {}): {}\n\
         之前的记录完整 what is before it holds; keep a copy of the folder before anything else is done",
        broken.n, broken.place, broken.why
    )
}

pub(super) fn journal(args: &JournalArgs, screen: &mut Screen) -> Outcome {
    let Place { dir, zone } = match place_of(&args.store, screen) {
        Ok(place) => place,
        Err(outcome) => return outcome,
    };
    let since = match args.since.as_deref().map(|since| since_of(since, clock::now().wall, &zone)).transpose()
    {
        Ok(since) => since,
        Err(why) => {
            screen.problem(&why);
            return Outcome::Usage;
        }
    };
    let filter = Filter { since, unit: args.unit.clone(), by: args.by.clone() };
    let mut count = 0_u64;
    let read = journal::read(&dir, &filter, |entry| {
        count += 1;
        let line = if args.json { entry.line } else { line_of(&entry, &zone) };
        screen.say(&line);
        true
    });
    match read {
        Ok(()) if count > 0 => Outcome::Done,
        Ok(()) => nothing(&dir, args, screen),
        Err(error) => unread(&error, screen),
    }
}

/// An empty answer says why: a name that the journal never had is a slip of the pen, and who is in it is told.
fn nothing(dir: &Path, args: &JournalArgs, screen: &mut Screen) -> Outcome {
    let (mut units, mut people) = (Names::default(), Names::default());
    let read = journal::read(dir, &Filter::default(), |entry| {
        people.count(&entry.by);
        if let Some(unit) = entry.unit() {
            units.count(unit);
        }
        true
    });
    if let Err(error) = read {
        return unread(&error, screen);
    }
    let unknown = [
        (&args.unit, &units, "没有单元", "has no unit", "单元 units"),
        (&args.by, &people, "没有", "has nobody named", "其中有 there are"),
    ];
    let mut outcome = Outcome::Done;
    for (name, known, zh, en, there_are) in unknown {
        let Some(name) = name.as_ref().filter(|name| !known.0.contains_key(*name)) else { continue };
        let (near_zh, near_en) = config::nearest(name, known.0.keys().map(String::as_str))
            .map(|near| (format!("，是不是'{near}'？"), format!("; did you mean '{near}'?")))
            .unwrap_or_default();
        let list = known.list();
        screen.problem(&format!(
            "日志中{zh}'{name}'{near_zh} / the journal {en} '{name}'{near_en}\n{there_are}: {list}"
        ));
        outcome = Outcome::Refused;
    }
    if outcome == Outcome::Done {
        screen.problem("此范围内没有记录 / nothing of this is in the journal, in this time");
    }
    outcome
}

/// Names, and how many entries each has.
#[derive(Default)]
struct Names(BTreeMap<String, u64>);

impl Names {
    fn count(&mut self, name: &str) {
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(name.to_owned(), 1)),
        }
    }

    /// Those with the most entries first, a line of them.
    fn list(&self) -> String {
        if self.0.is_empty() {
            return "无 none".to_owned();
        }
        let mut by_count: Vec<(&String, &u64)> = self.0.iter().collect();
        by_count.sort_by(|a, b| b.1.cmp(a.1));
        let listed = by_count.iter().take(NAMES_MAX).map(|(name, count)| format!("{name} ({count})"));
        let more = if by_count.len() > NAMES_MAX { ", …" } else { "" };
        format!("{}{more}", listed.collect::<Vec<_>>().join(", "))
    }
}

fn line_of(entry: &Entry, zone: &TimeZone) -> String {
    format!("{:>6}  {}  {}  {}  {}", entry.n, stamp(entry.at, zone), entry.by, entry.what, entry.body)
}

fn unread(error: &StoreError, screen: &mut Screen) -> Outcome {
    screen.problem(&format!(
        "无法读取日志 / the journal cannot be read: {}; give the agent's folder with --dir, or its configuration \
         with --config; with the service, use sudo",
        chain(error)
    ));
    Outcome::Refused
}

fn stamp(at: Wall, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(
        |_| format!("{} ms", at.0),
        |at| at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string(),
    )
}

/// `2h`, `2026-11-01`, `2026-11-01T08:00` or RFC 3339 with an offset.
fn since_of(text: &str, now: Wall, zone: &TimeZone) -> Result<Wall, String> {
    if let Ok(back) = duration(text) {
        let back = i64::try_from(back.as_millis()).unwrap_or(i64::MAX);
        return Ok(Wall(now.0.saturating_sub(back)));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Wall(at.as_millisecond()));
    }
    let local = text.parse::<DateTime>().or_else(|_| text.parse::<civil::Date>().map(DateTime::from));
    let at = local.ok().and_then(|local| zone.to_ambiguous_timestamp(local).compatible().ok());
    at.map(|at| Wall(at.as_millisecond())).ok_or_else(|| {
        format!(
            "--since '{text}'：写成 2h、2026-11-01、2026-11-01T08:00 或 RFC 3339 时间 / write 2h, 2026-11-01, \
             2026-11-01T08:00 or an RFC 3339 time"
        )
    })
}

/// `17:5f1c…`, as `verify`, `show` and `state` tell a head.
pub(super) fn head(text: &str) -> Result<Head, String> {
    let parsed = text.trim().split_once(':').and_then(|(n, hash)| {
        let whole = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Head { n: n.parse().ok()?, hash: hash.to_ascii_lowercase() }).filter(|_| whole)
    });
    parsed.ok_or_else(|| {
        "写成 N:HASH，见 riskgate verify、riskgate show outbox / write N:HASH, as they tell it".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::super::args::StoreDir;
    use super::*;
    use crate::store::{JournalEntry, Store};

    fn zone() -> TimeZone {
        TimeZone::get("Asia/Shanghai").expect("a zone")
    }

    #[test]
    fn since_is_a_while_ago_a_day_or_a_time() {
        let now = Wall(1_793_491_200_000);
        let since = |text: &str| since_of(text, now, &zone());
        assert_eq!(since("2h"), Ok(Wall(now.0 - 7_200_000)));
        assert_eq!(since("2026-11-01"), Ok(Wall(now.0 - 8 * 3_600_000)), "midnight at the site");
        assert_eq!(since("2026-11-01T08:00"), Ok(now));
        assert_eq!(since("2026-11-01T00:00:00Z"), Ok(now));
        assert!(since("gestern").expect_err("refused").contains("2026-11-01"));
    }

    #[test]
    fn a_head_is_a_number_and_a_hash() {
        let hash = "ab".repeat(32);
        assert_eq!(head(&format!("17:{}", hash.to_uppercase())), Ok(Head { n: 17, hash: hash.clone() }));
        for wrong in [hash.as_str(), "17:ab", "x:", ""] {
            assert!(head(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn it_is_proven_read_and_told_where_it_is_broken() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Wall(1_793_491_200_000)).expect("opens");
        let entry = JournalEntry {
            at: Wall(1_793_491_201_000),
            by: "王敏".to_owned(),
            what: "act".to_owned(),
            body: serde_json::json!({ "unit": "U-1" }),
        };
        store.append(Vec::new(), vec![entry]).await.expect("written");
        let store_dir = StoreDir { dir: Some(folder.path().to_owned()), config: None };
        let said = |command: &dyn Fn(&mut Screen) -> Outcome| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let outcome = command(&mut Screen::to(&mut out, &mut err, None));
            (outcome, String::from_utf8([out, err].concat()).expect("UTF-8"))
        };
        let proven = VerifyArgs { store: store_dir.clone(), head: None };
        let (outcome, text) = said(&|screen| verify(&proven, screen));
        assert_eq!(outcome, Outcome::Done);
        let head_line = text.lines().last().expect("a head").to_owned();
        assert!(text.contains("2 entries from 2026-11-01 08:00:00+08:00"), "{text}");
        let args = JournalArgs {
            since: None,
            unit: Some("U-1".to_owned()),
            by: None,
            json: false,
            store: store_dir.clone(),
        };
        let (outcome, text) = said(&|screen| journal(&args, screen));
        assert_eq!(outcome, Outcome::Done);
        assert_eq!(text, "     2  2026-11-01 08:00:01+08:00  王敏  act  {\"unit\":\"U-1\"}\n");
        let unknown = JournalArgs { unit: None, by: Some("王明".to_owned()), ..args };
        let (outcome, text) = said(&|screen| journal(&unknown, screen));
        assert_eq!(outcome, Outcome::Refused);
        assert!(text.contains("did you mean '王敏'?") && text.contains("riskgate (1)"), "{text}");
        let known =
            JournalArgs { since: Some("2026-11-02".to_owned()), by: Some("王敏".to_owned()), ..unknown };
        let (outcome, text) = said(&|screen| journal(&known, screen));
        assert_eq!(outcome, Outcome::Done);
        assert!(text.contains("此范围内没有记录"), "{text}");
        store.close().expect("closes");
        let connection = rusqlite::Connection::open(folder.path().join("state.db")).expect("opens");
        connection
            .execute_batch("DROP TRIGGER journal_no_delete; DELETE FROM journal WHERE n = 2")
            .expect("cut");
        drop(connection);
        let kept = VerifyArgs { store: store_dir, head: Some(head(&head_line).expect("a head")) };
        let (outcome, text) = said(&|screen| verify(&kept, screen));
        assert_eq!(outcome, Outcome::Refused);
        assert!(text.contains("broken at entry 2 (2026-11-01 08:00:00+08:00, state.db)"), "{text}");
    }

    #[test]
    fn a_folder_without_a_store_is_named_and_nothing_is_made_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let store = StoreDir { dir: Some(folder.path().to_owned()), config: None };
        let outcome = verify(&VerifyArgs { store, head: None }, &mut Screen::to(&mut out, &mut err, None));
        let text = String::from_utf8(err).expect("UTF-8");
        assert_eq!(outcome, Outcome::Refused);
        assert!(text.contains("state.db") && text.contains("--dir"), "{text}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
    }
}
