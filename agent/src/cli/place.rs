//! Which store, and which agent, a command is about. One idea for all of them: the folder that was named, the one of a
//! configuration, the service manager's, or the usual one.
//!
//! Beside a configuration the store has to be that gateway's own: nobody shall read another one's journal for his.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::args::StoreDir;
use super::client::{SYSTEM_SOCKET, default_socket};
use super::{Outcome, Screen, site_of};
use crate::config::{DEFAULT_TIMEZONE, Site, Surroundings, USUAL_STORE};
use crate::store;

/// Where the store is, and in which zone its times are told.
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) zone: TimeZone,
}

pub(super) fn usual_store() -> PathBuf {
    Surroundings::of_process().store()
}

pub(super) fn place_of(given: &StoreDir, screen: &mut Screen) -> Result<Place, Outcome> {
    let china = || TimeZone::get(DEFAULT_TIMEZONE).unwrap_or(TimeZone::UTC);
    match (&given.dir, &given.config) {
        (Some(dir), _) => Ok(Place { dir: dir.clone(), zone: china() }),
        (None, Some(config)) => {
            let site = site_of(config, "its store is not known: mend it, or give --dir", screen)?;
            belongs(&site, screen)?;
            Ok(Place { dir: site.store.dir, zone: site.timezone })
        }
        (None, None) => Ok(Place { dir: usual_store(), zone: china() }),
    }
}

/// The socket of the agent that runs a configuration. Of one that the service manager runs it is in a folder that only
/// the agent is told of.
pub(super) fn socket_of(site: &Site, screen: &mut Screen) -> Result<PathBuf, Outcome> {
    belongs(site, screen)?;
    let is_usual =
        site.store.dir == Path::new(USUAL_STORE) && site.console.socket.parent() == Some(&site.store.dir);
    if is_usual && !site.console.socket.exists() {
        return Ok(PathBuf::from(SYSTEM_SOCKET));
    }
    Ok(site.console.socket.clone())
}

/// The socket where nobody says which.
pub(super) fn usual_socket() -> PathBuf {
    default_socket(std::env::var("RUNTIME_DIRECTORY").ok().as_deref())
}

/// A store that cannot be read is told by whoever reads it.
fn belongs(site: &Site, screen: &mut Screen) -> Result<(), Outcome> {
    let Ok(Some(whose)) = store::whose(&site.store.dir) else { return Ok(()) };
    if whose.company == site.company && whose.gateway == site.gateway {
        return Ok(());
    }
    let dir = site.store.dir.display();
    screen.problem(&format!(
        "未执行：{dir} 是网关 {} 的存储，不是此配置的网关 {} 的；用 --dir 指明存储，或在 [store] dir 写明\n\
         refused: {dir} is the store of gateway {} of company {}, and this configuration is of gateway {} of company \
         {}: give --dir, or write [store] dir; where the gateway was given another id, its next start makes the store \
         its own",
        whose.gateway, site.gateway, whose.gateway, whose.company, site.gateway, site.company
    ));
    Err(Outcome::Refused)
}

#[cfg(test)]
mod tests {
    use riskgate_point::Wall;
    use serde_json::json;

    use super::*;
    use crate::store::{JournalEntry, Store};

    #[tokio::test]
    async fn the_store_of_another_gateway_is_refused_beside_a_configuration_and_read_where_it_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("store");
        let (store, _) = Store::open(&dir, Wall(5)).expect("opens");
        let body = json!({ "company": "540170007", "gateway": "54017000702" });
        let entry = JournalEntry { at: Wall(5), by: "riskgate".to_owned(), what: "start".to_owned(), body };
        store.append(Vec::new(), vec![entry]).await.expect("written");
        store.close().expect("closes");
        let config = folder.path().join("config");
        std::fs::create_dir(&config).expect("a folder");
        let written = |gateway: &str| {
            let text = include_str!("../../../config/twelve-rules/riskgate.toml");
            let text = text.replace("./state", &dir.display().to_string());
            let id = text.lines().find(|line| line.starts_with("id ")).expect("an id");
            let text = text.replacen(id, &format!("id = \"{gateway}\""), 1);
            std::fs::write(config.join("riskgate.toml"), text).expect("written");
        };
        let asked = |given: &StoreDir| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let place = place_of(given, &mut Screen::to(&mut out, &mut err, None));
            (place.map(|place| place.dir), String::from_utf8(err).expect("UTF-8"))
        };
        for name in ["plant.toml", "rules.toml", "sources.toml", "points.csv", "points-tests.csv"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/twelve-rules").join(name);
            std::fs::copy(from, config.join(name)).expect("copied");
        }
        let beside = StoreDir { dir: None, config: Some(config.clone()) };
        written("54017000701");
        let (refused, said) = asked(&beside);
        assert_eq!(refused, Err(Outcome::Refused), "{said}");
        assert!(said.contains("54017000702") && said.contains("--dir"), "{said}");
        written("54017000702");
        assert_eq!(asked(&beside).0, Ok(dir.clone()));
        let named = StoreDir { dir: Some(dir.clone()), config: None };
        assert_eq!(asked(&named).0, Ok(dir));
    }
}
