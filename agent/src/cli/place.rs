//! Which store, and which agent, a command is about. One idea for all of them: the folder that was named, the one of a
//! configuration, the service manager's, or the usual one.
//!
//! Beside a configuration the store has to be that gateway's own: nobody shall read another one's journal for his.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::args::StoreDir;
use super::client::{Client, SYSTEM_SOCKET, default_socket};
use super::{Outcome, Screen, shown, site_of};
use crate::config::{DEFAULT_TIMEZONE, Site, Surroundings};
use crate::console::socket::What;
use crate::console::view::BoardView;
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
    place_or(given, "--dir", screen)
}

/// `option`: by which the command names what it is about where the configuration does not.
pub(super) fn place_or(given: &StoreDir, option: &str, screen: &mut Screen) -> Result<Place, Outcome> {
    let china = || TimeZone::get(DEFAULT_TIMEZONE).unwrap_or(TimeZone::UTC);
    match (&given.dir, &given.config) {
        (Some(dir), _) => Ok(Place { dir: dir.clone(), zone: china() }),
        (None, Some(config)) => {
            let site =
                site_of(config, &format!("its store is not known: mend it, or give {option}"), screen)?;
            belongs(&site, option, screen)?;
            Ok(Place { dir: site.store.dir, zone: site.timezone })
        }
        (None, None) => Ok(Place { dir: usual_store(), zone: china() }),
    }
}

/// The socket of the agent that runs a configuration.
pub(super) fn socket_of(site: &Site, screen: &mut Screen) -> Result<PathBuf, Outcome> {
    socket_or(site, Path::new(SYSTEM_SOCKET), screen)
}

/// An agent that the service manager runs has it in a folder that only the agent is told of. There another gateway's may
/// listen: nobody shall act on that one for his own.
fn socket_or(site: &Site, of_service: &Path, screen: &mut Screen) -> Result<PathBuf, Outcome> {
    let socket = site.console.socket.clone();
    if socket.parent() != Some(&site.store.dir) {
        return Ok(socket);
    }
    belongs(site, "--socket", screen)?;
    // What may not be looked at is told by who speaks to it.
    let is_there = of_service.try_exists().unwrap_or(true);
    if !socket.exists() && is_there && !is_of_another(site, of_service) {
        return Ok(of_service.to_owned());
    }
    Ok(socket)
}

/// Whether the agent there says so. What keeps it from saying anything is told by who speaks to it next.
fn is_of_another(site: &Site, socket: &Path) -> bool {
    let asked = Client::connect(socket).and_then(|mut client| shown::<BoardView>(&mut client, What::All));
    asked.is_ok_and(|board| board.gateway.company != site.company || board.gateway.id != site.gateway)
}

/// The socket where nobody says which.
pub(super) fn usual_socket() -> PathBuf {
    default_socket(std::env::var("RUNTIME_DIRECTORY").ok().as_deref())
}

/// That the store is this gateway's, as far as can be known.
fn belongs(site: &Site, option: &str, screen: &mut Screen) -> Result<(), Outcome> {
    let whose = store::of_another(&site.store.dir, &site.company, &site.gateway);
    let Some(whose) = whose else { return Ok(()) };
    let dir = site.store.dir.display();
    screen.problem(&format!(
        "未执行：{dir} 是网关 {} 的存储，不是此配置的网关 {} 的；用 {option} 指明，或在 [store] dir 写明\n\
         refused: {dir} is the store of gateway {} of company {}, and this configuration is of gateway {} of company \
         {}: give {option}, or write [store] dir; where the gateway was given another id, its next start makes the store \
         its own",
        whose.gateway, site.gateway, whose.gateway, whose.company, site.gateway, site.company
    ));
    Err(Outcome::Refused)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use riskgate_point::Wall;
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

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
        assert_eq!(asked(&named).0, Ok(dir.clone()));
        // An agent that is found by a socket of its own tells itself whose it is.
        written("54017000701");
        let mut site = crate::config::check(&config).expect("it passes").site;
        let asked = |site: &Site| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let socket = socket_of(site, &mut Screen::to(&mut out, &mut err, None));
            (socket, String::from_utf8(err).expect("UTF-8"))
        };
        let (refused, said) = asked(&site);
        assert_eq!(refused, Err(Outcome::Refused));
        assert!(said.contains("--socket") && !said.contains("--dir"), "{said}");
        site.console.socket = folder.path().join("own.sock");
        assert_eq!(asked(&site).0, Ok(folder.path().join("own.sock")));
    }

    /// The configuration of a gateway with a store of its own, and this in `[console]`.
    fn gateway(folder: &Path, id: &str, console: &str) -> PathBuf {
        let (config, store) = (folder.join(id), folder.join(format!("store-{id}")));
        std::fs::create_dir_all(&config).expect("made");
        let text = format!(
            "[gateway]\ncompany = \"540170007\"\nid = \"{id}\"\nname = \"试验网关\"\n[uplink]\nhost = \"127.0.0.1\"\n\
             port = 1\n[console]\nhttp = \"127.0.0.1:0\"\n{console}[store]\ndir = \"{}\"\n[[source]]\nid = \"dcs\"\n\
             name = \"DCS\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\nport = 1\ndevice_id = 1\n",
            store.display()
        );
        std::fs::write(config.join("site.toml"), text).expect("written");
        let points = "tag,source,address,type\nLT-1,dcs,holding:0,f32\n";
        std::fs::write(config.join("points.csv"), points).expect("written");
        config
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_agent_of_the_service_is_found_with_any_store_and_never_taken_for_another_gateways() {
        let folder = tempfile::tempdir().expect("a folder");
        let of_service = folder.path().join("service.sock");
        let named = format!("socket = \"{}\"\n", of_service.display());
        let runs = gateway(folder.path(), "54017000701", &named);
        let stop = CancellationToken::new();
        let mut agent = tokio::task::JoinSet::new();
        agent.spawn(crate::app::run(runs, stop.clone()));
        let socket = of_service.clone();
        let listens = tokio::task::spawn_blocking(move || {
            while Client::connect(&socket).is_err() {
                std::thread::yield_now();
            }
        });
        tokio::time::timeout(Duration::from_secs(60), listens).await.expect("in time").expect("it listens");
        // As who types a command reads the same files, without the service manager's word on the socket.
        for (id, is_found) in [("54017000701", true), ("54017000702", false)] {
            let site = crate::config::check(&gateway(folder.path(), id, "")).expect("it passes").site;
            let (service, own) = (of_service.clone(), site.console.socket.clone());
            let found = tokio::task::spawn_blocking(move || {
                let (mut out, mut err) = (Vec::new(), Vec::new());
                socket_or(&site, &service, &mut Screen::to(&mut out, &mut err, None))
            });
            let found = found.await.expect("asked");
            assert_eq!(found, Ok(if is_found { of_service.clone() } else { own }));
        }
        stop.cancel();
        agent.join_next().await.expect("one").expect("no panic").expect("it ends well");
    }
}
