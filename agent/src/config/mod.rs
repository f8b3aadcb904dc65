//! The configuration room: the files of a folder in, a checked plant and what to run out.
//!
//! A folder holds `*.toml` files (gateway, uplink, sources, the model, cameras, rules; any table may stand in
//! any file), and point tables (点表) and lists of the model as `*.csv` or `*.xlsx`. [`check_files`] is
//! pure and total: it answers with the whole [`Checked`] configuration, or with every [`Problems`] at once,
//! each at its file, line and column. [`check`] only reads the folder for it.
//!
//! The way: `read` (bytes to text) -> `document`, `table` (text to tables, cells) -> `fields`, `row` (typed)
//! -> `site`, `sources`, `model`, `points` (what it means) -> `Plant::build` (whether it holds together).
//!
//! Checking opens no socket and no file outside the folder. So the file of a password, a certificate or a key
//! is not opened either: it is named in the configuration, read by [`Checked::load_secrets`] when the agent
//! starts, and its absence is told then. Whether a device answers, `riskgate run --once` tells.

mod address;
mod binding;
mod calendar;
pub(crate) mod commands;
mod diagnostic;
mod document;
mod few;
mod fields;
mod gas_levels;
mod gas_tests;
mod headers;
mod history;
mod kinds;
mod lists;
mod model;
mod owner;
pub(crate) mod paste;
mod patience;
mod place;
mod points;
mod read;
mod row;
mod secret;
mod site;
mod sources;
mod status_map;
mod summary;
mod synced;
mod table;
mod tls;
mod uplink;
mod values;
mod verdict;

use std::path::{Path, PathBuf};

use riskgate_drivers::mqtt;
use riskgate_drivers::opcua::{self, Applicant, Password, User};
use riskgate_engine::Plant;
use riskgate_point::SourceId;
use uuid::Uuid;

pub use commands::Commands;
pub use diagnostic::{Diagnostic, Location, Problems, Shown, Spot, render};
pub(crate) use owner::COMMAND as MODEL_COMMAND;
pub use owner::{ModelInForce, ModelSource, RefusedModel, TakenModel};
pub use read::RawFile;
pub use secret::{Credentials, Login, Secret, SecretError};
pub(crate) use site::DEFAULT_TIMEZONE;
pub use site::{Console, Site, Store, Surroundings};
pub use sources::{Driver, SourceConfig};
pub(crate) use synced::{COMPANY, DELETED, LISTS, List, PASSED_OVER, sha256};
pub use synced::{NoModel, Synced};
pub use uplink::Uplink;
pub(crate) use values::nearest;

use document::Document;
use place::{Faults, File, Place};
use read::Form;
use secret::SecretFile;

/// A configuration that can be run.
#[derive(Debug)]
pub struct Checked {
    pub site: Site,
    pub plant: Plant,
    /// In the order of their ids.
    pub sources: Vec<SourceConfig>,
    pub warnings: Vec<Diagnostic>,
    /// Of the names and bytes of all files, and of the model from upstream: it changes when any of them does.
    pub hash: String,
    /// Of the files alone.
    pub files: String,
    /// Measures that points and rules name and the model from upstream does not have: the files' own hold for them.
    pub orphans: Vec<String>,
    /// The version of the model from upstream that is in it.
    pub model: Option<u64>,
    secrets: Vec<SecretFile>,
}

/// Reads the folder and checks what it holds. The places in problems start at `folder`.
pub fn check(folder: &Path) -> Result<Checked, Problems> {
    check_with(folder, None)
}

/// The same with a model from upstream, which is read where the files say that upstream owns it.
pub fn check_with(folder: &Path, synced: Option<&Synced>) -> Result<Checked, Problems> {
    let under = |mut diagnostics: Vec<Diagnostic>| {
        for diagnostic in &mut diagnostics {
            diagnostic.start_at(folder);
        }
        diagnostics
    };
    let files = read::folder(folder)?;
    match check_all(files, &Surroundings::of_process(), synced) {
        Ok(mut checked) => {
            checked.warnings = under(checked.warnings);
            Ok(checked)
        }
        Err(problems) => Err(Problems { diagnostics: under(problems.diagnostics), ..problems }),
    }
}

/// Checks files that are in memory, by the names that they have below their folder.
pub fn check_files(files: Vec<RawFile>) -> Result<Checked, Problems> {
    check_files_within(files, &Surroundings::default())
}

/// As [`check_files`], where the service manager gives folders.
pub fn check_files_within(files: Vec<RawFile>, surroundings: &Surroundings) -> Result<Checked, Problems> {
    check_all(files, surroundings, None)
}

/// Checks files that are in memory, with a model from upstream.
pub fn check_files_with(files: Vec<RawFile>, synced: &Synced) -> Result<Checked, Problems> {
    check_all(files, &Surroundings::default(), Some(synced))
}

fn check_all(
    mut files: Vec<RawFile>,
    surroundings: &Surroundings,
    synced: Option<&Synced>,
) -> Result<Checked, Problems> {
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files.retain(|(name, _)| Form::of(name).is_some());
    let of_files = hash(&files);
    let faults = Faults::default();
    let (mut files, sheets) = decode(files, &faults);
    let synced = synced.map(|synced| (synced, files.len()));
    files.extend(synced.map(|_| File { name: PathBuf::from("model"), ..File::default() }));
    let parsed: Vec<_> = files
        .iter()
        .enumerate()
        .filter(|(_, file)| Form::of(&file.name) == Some(Form::Toml))
        .map(|(at, file)| (at, document::parse(at, &file.text, &faults)))
        .collect();
    let mut document = Document::default();
    for (at, root) in &parsed {
        document.add(*at, root.get_ref(), &faults);
    }
    let mut secrets = Vec::new();
    let read = if parsed.is_empty() {
        let hint = "write a file riskgate.toml with [gateway], [uplink] and [[source]]".to_owned();
        faults.error(Place::NOWHERE, "there is no *.toml file here", hint);
        None
    } else {
        let reading = Reading { document: &document, files: &files, synced, faults: &faults };
        whole(&reading, sheets, surroundings, &mut secrets)
    };
    let (failed, left_out) = (faults.any_error(), faults.left_out());
    let diagnostics = faults.diagnostics(&files);
    match read {
        Some(Whole { site, plant, sources, orphans }) if !failed => {
            let synced = synced.filter(|_| site.model == ModelSource::Upstream).map(|(synced, _)| synced);
            let hash = synced.map_or_else(|| of_files.clone(), |synced| with_model(&of_files, synced));
            let model = synced.map(|synced| synced.version);
            let plant = plant.with_version(&hash).with_orphans(&orphans);
            let warnings = diagnostics;
            Ok(Checked { site, plant, sources, warnings, hash, files: of_files, orphans, model, secrets })
        }
        Some(_) | None => Err(Problems { diagnostics, left_out, files: Some(of_files) }),
    }
}

/// What the files hold, and what is wrong with it so far.
struct Reading<'a> {
    document: &'a Document<'a>,
    files: &'a [File],
    /// The model from upstream, and its number among the files.
    synced: Option<(&'a Synced, usize)>,
    faults: &'a Faults,
}

struct Whole {
    site: Site,
    plant: Plant,
    sources: Vec<SourceConfig>,
    orphans: Vec<String>,
}

/// Everything after the files are tables. `None` where the plant does not hold together.
fn whole(
    reading: &Reading<'_>,
    sheets: Vec<table::Sheet>,
    surroundings: &Surroundings,
    secrets: &mut Vec<SecretFile>,
) -> Option<Whole> {
    let Reading { document, files, synced, faults } = *reading;
    let (lists, sheets): (Vec<_>, Vec<_>) = sheets.into_iter().partition(|sheet| sheet.list.is_some());
    let no_sheet = sheets.is_empty();
    let (site, gateway) = site::read(document, surroundings, faults);
    let mut sources = sources::read(document, &site, faults, secrets);
    let ids: Vec<&str> = sources.iter().map(|source| source.id.as_str()).collect();
    let model = model::read(document, lists, &ids, &site.timezone, faults);
    sources::check_names(&mut sources, &model, faults);
    let points = points::read(sheets, files, &mut sources, faults);
    if no_sheet && !faults.has_unreadable_part() {
        let hint =
            "a point table is a *.csv or *.xlsx with the columns tag 位号, source 数据源, address 地址";
        faults.warning(gateway.at(), "there is no point table: no limit is watched", hint.to_owned());
    }
    let uplink = (site.uplink.host.as_str(), site.uplink.port, site.uplink.client_id.as_str());
    sources::check_whole(&sources, uplink, faults);
    let synced = synced.filter(|_| site.model == ModelSource::Upstream);
    let (model, orphans) = match synced {
        Some((synced, file)) => {
            let chain = synced::read(synced, file, &site.company, &site.timezone, faults);
            let places = sources.iter().flat_map(sources::Source::names).collect();
            synced::merge(model, chain, &synced::Kept { points: &points.drafts, places })
        }
        None => (model, Vec::new()),
    };
    let plant = verdict::build(&site, &gateway, &sources, model, points, files, faults)?;
    let configs = (0..).map(SourceId).zip(sources).filter_map(|(id, source)| source.into_config(id));
    let configs = configs.map(|config| with_certificates(config, &site)).collect();
    Some(Whole { site, plant, sources: configs, orphans })
}

/// Where the certificates of all sources lie, and as whom we show ourselves.
fn with_certificates(mut config: SourceConfig, site: &Site) -> SourceConfig {
    if let Driver::Opcua(server) = &mut config.driver {
        server.security.pki = site.store.pki();
        server.security.applicant =
            Applicant { company: site.company.clone(), gateway: site.gateway.clone() };
        server.security.source.clone_from(&config.name);
    }
    config
}

/// Texts of the files, and the sheets of the tables among them.
fn decode(files: Vec<RawFile>, faults: &Faults) -> (Vec<File>, Vec<table::Sheet>) {
    let mut decoded = Vec::new();
    let mut sheets = Vec::new();
    for (at, (name, bytes)) in files.into_iter().enumerate() {
        let (name, bytes) = (&name, &bytes);
        let mut file = File { name: name.clone(), ..File::default() };
        let unreadable = |why: String| {
            faults.unreadable_part();
            faults.error(Place::whole(at), why, None);
        };
        match Form::of(name) {
            Some(form @ (Form::Toml | Form::Csv)) => match read::text(bytes, form) {
                Ok(text) => file.text = text,
                Err(why) => unreadable(why.to_owned()),
            },
            Some(Form::Xlsx) => match table::workbook(at, bytes) {
                Ok((_, found)) if found.is_empty() => {
                    unreadable(
                        "no sheet of this workbook has a header with tag 位号, or of a list of the model"
                            .to_owned(),
                    );
                }
                Ok((names, found)) => {
                    file.sheets = names;
                    sheets.extend(found);
                }
                Err(why) => unreadable(why),
            },
            None => {}
        }
        if Form::of(name) == Some(Form::Csv) && !file.text.is_empty() {
            sheets.push(table::csv(at, &file.text, faults));
        }
        decoded.push(file);
    }
    (decoded, sheets)
}

/// UUIDv5 over the names and bytes of all files, each with its length, so that nothing can slide from one
/// to the next.
fn hash(files: &[RawFile]) -> String {
    let mut all = Vec::new();
    for (name, bytes) in files {
        let name = name.to_string_lossy();
        for part in [name.as_bytes(), bytes] {
            all.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            all.extend_from_slice(part);
        }
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &all).to_string()
}

/// UUIDv5 of the files' hash, and the model's with its version.
fn with_model(files: &str, synced: &Synced) -> String {
    let all = format!("{files} {} {}", synced.version, synced.digest);
    Uuid::new_v5(&Uuid::NAMESPACE_OID, all.as_bytes()).to_string()
}

impl Checked {
    /// Reads the passwords and users' certificates that the configuration names, and sees whether its certificates
    /// and keys can be used. Relative paths start at `folder`. Everything that cannot be had is told.
    pub fn load_secrets(&mut self, folder: &Path) -> Result<(), Vec<SecretError>> {
        let mut errors = Vec::new();
        for file in self.secrets.clone() {
            let named = self.plant.source(file.source).map(|source| source.id.as_str());
            let of = format!("source '{}'", named.unwrap_or_default());
            match secret::load(folder, &file, &of) {
                Ok(secret) => self.give(file.source, &secret),
                Err(error) => errors.push(error),
            }
        }
        errors.extend(self.site.uplink.login.look(folder, "[uplink]"));
        if let Some(tls) = &mut self.site.uplink.tls {
            errors.extend(secret::look(folder, tls, "[uplink]").err());
            // A renewed certificate is shown at the next connect by itself: it is no other configuration.
            tls.digest = 0;
        }
        for source in &mut self.sources {
            if let Driver::Mqtt(mqtt::Feed { tls: Some(tls), .. }) = &mut source.driver {
                errors.extend(secret::look(folder, tls, &format!("source '{}'", source.name)).err());
            }
            if let Driver::Opcua(opcua::Server { user: User::Certificate(user), .. }) = &mut source.driver
                && let Err(cause) = user.read(folder)
            {
                errors.push(SecretError::User { of: format!("source '{}'", source.name), cause });
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn give(&mut self, id: SourceId, secret: &Secret) {
        for source in self.sources.iter_mut().filter(|source| source.id == id) {
            match &mut source.driver {
                Driver::Opcua(opcua::Server { user: User::Password { password, .. }, .. }) => {
                    *password = Password::new(secret.reveal());
                }
                Driver::Mqtt(mqtt::Feed { user: Some((_, password)), .. }) => {
                    secret.reveal().clone_into(password);
                }
                Driver::Opcua(_) | Driver::Mqtt(_) | Driver::Modbus(_) => {}
            }
        }
    }
}
