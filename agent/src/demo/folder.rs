//! The copy of `config/demo` that one demo runs on: free ports, a folder of its own, and its durations
//! divided by the speed. Everything else is byte for byte what lies in `config/demo`.

use std::path::{Path, PathBuf};

use super::speed;

/// Where the servers of this demo listen, on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) dcs: u16,
    pub(super) gas: u16,
    pub(super) opcua: u16,
    pub(super) plant_mqtt: u16,
    pub(super) upstream: u16,
    pub(super) http: u16,
}

const TOML: &[(&str, &str)] = &[
    ("gateway.toml", include_str!("../../../config/demo/gateway.toml")),
    ("rules.toml", include_str!("../../../config/demo/rules.toml")),
    ("site.toml", include_str!("../../../config/demo/site.toml")),
    ("sources.toml", include_str!("../../../config/demo/sources.toml")),
];
pub(super) const POINTS: &str = include_str!("../../../config/demo/points.csv");

#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("cannot write {path} of the demo's configuration")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("config/demo/points.csv is no point table")]
    Points { source: csv::Error },
}

/// The files of the copy, by name. `home` is where the agent keeps its store and its socket.
pub(super) fn files(
    home: &Path,
    ports: Ports,
    speed: u32,
) -> Result<Vec<(&'static str, String)>, FolderError> {
    let mut files: Vec<(&str, String)> = TOML
        .iter()
        .map(|(name, text)| {
            let text = if speed > 1 { speed::toml(text, speed) } else { (*text).to_owned() };
            (*name, placed(text, home, ports))
        })
        .collect();
    let points = if speed > 1 {
        speed::csv(POINTS, speed).map_err(|source| FolderError::Points { source })?
    } else {
        POINTS.to_owned()
    };
    files.push(("points.csv", points));
    Ok(files)
}

/// What stands in `config/demo` for what only a running demo knows.
fn placed(mut text: String, home: &Path, ports: Ports) -> String {
    for (placeholder, port) in [
        ("15021", ports.dcs),
        ("15022", ports.gas),
        ("14840", ports.opcua),
        ("18831", ports.plant_mqtt),
        ("18830", ports.upstream),
    ] {
        text = text.replace(placeholder, &port.to_string());
    }
    let console = format!("http = \"127.0.0.1:{}\"\nsocket = {}", ports.http, quoted(&socket(home)));
    text = text.replace("http = \"127.0.0.1:18080\"", &console);
    text.replace("dir = \"./state\"", &format!("dir = {}", quoted(&home.join("state"))))
}

pub(super) fn socket(home: &Path) -> PathBuf {
    home.join("riskgate.sock")
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Writes the copy to `home/config`.
pub(super) fn write(home: &Path, ports: Ports, speed: u32) -> Result<PathBuf, FolderError> {
    let folder = home.join("config");
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        |source| FolderError::Write { path, source }
    };
    std::fs::create_dir(&folder).map_err(failed(&folder))?;
    for (name, text) in files(home, ports, speed)? {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const PORTS: Ports = Ports { dcs: 1, gas: 2, opcua: 3, plant_mqtt: 4, upstream: 5, http: 6 };

    fn copy(speed: u32) -> String {
        let files = files(Path::new("/tmp/a \"home\""), PORTS, speed).expect("a good table");
        files.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn no_port_and_no_folder_of_the_example_is_left_in_the_copy() {
        let copy = copy(1);
        for placeholder in ["15021", "15022", "14840", "18830", "18831", "18080", "./state"] {
            assert!(TOML.iter().any(|(_, text)| text.contains(placeholder)), "{placeholder} is in no file");
            assert!(!copy.contains(placeholder), "{placeholder} is left");
        }
        assert!(copy.contains("dir = \"/tmp/a \\\"home\\\"/state\""));
        assert!(copy.contains("socket = \"/tmp/a \\\"home\\\"/riskgate.sock\""));
        assert!(copy.contains("url        = \"opc.tcp://127.0.0.1:3\""));
    }

    /// What `riskgate check` says of the copy.
    fn checked(speed: u32) -> config::Checked {
        let files = files(Path::new("/tmp/home"), PORTS, speed).expect("a good table");
        let raw = files.into_iter().map(|(name, text)| (PathBuf::from(name), text.into_bytes())).collect();
        config::check_files(raw).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
    }

    #[test]
    fn the_example_and_its_copies_pass_the_check_without_a_warning() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo");
        let example = config::check(&example).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        for checked in [example, checked(1), checked(6), checked(20)] {
            assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
            assert_eq!(checked.plant.points().len(), 16);
            assert_eq!(checked.plant.units().len(), 3);
            assert_eq!(checked.sources.len(), 6);
        }
    }

    #[test]
    fn at_speed_one_every_other_byte_stays() {
        let rules = files(Path::new("/x"), PORTS, 1).expect("good").remove(1);
        assert_eq!(rules.1, include_str!("../../../config/demo/rules.toml"));
    }

    #[test]
    fn a_faster_copy_has_shorter_delays_windows_and_holds() {
        let copy = copy(10);
        for expected in [
            "for         = \"200ms\"",
            "max({GD-101}, 6s) < 20",
            "window = 3s",
            "hold = \"24m\"",
            "period    = \"100ms\"",
            ",2,300ms,,工艺,",
            "cycle    = \"48m\"",
        ] {
            assert!(copy.contains(expected), "{expected} is not in the copy:\n{copy}");
        }
    }
}
