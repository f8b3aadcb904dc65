//! `riskgate check`: what a configuration will run, or every problem at once.
//!
//! Where upstream owns the model, the files are checked with the newest one that the gateway's store holds, as a start
//! and a reload take them; and by themselves, since they hold where there is none. The store is only read.

use std::path::Path;

use super::{Outcome, Screen};
use crate::causes::chain;
use crate::config::{self, Checked, ModelSource, Problems, Synced};
use crate::store::{self, StoredModel};

pub(super) fn check(folder: &Path, screen: &mut Screen) -> Outcome {
    let path = folder.display();
    let checked = config::check(folder).map_err(|problems| {
        refused(&problems, screen);
        screen.problem(&format!("配置有错误，不能启动 / {path} is refused"));
    });
    let Ok(files) = checked else { return Outcome::Refused };
    let Ok(checked) = with_model(folder, files, screen) else { return Outcome::Refused };
    if !checked.warnings.is_empty() {
        screen.problem(&config::render(&checked.warnings, screen.colour));
    }
    screen.say(&checked.summary().join("\n"));
    screen.say(&format!("配置可以启动 / {path} will run: riskgate run --config {path} --once"));
    Outcome::Done
}

fn refused(problems: &Problems, screen: &mut Screen) {
    screen.problem(&problems.render(screen.colour));
}

/// The same with the newest model of the store. What stands against it was told.
fn with_model(folder: &Path, files: Checked, screen: &mut Screen) -> Result<Checked, ()> {
    if files.site.model == ModelSource::Files {
        return Ok(files);
    }
    let dir = files.site.store.dir.clone();
    let at = dir.display();
    if !dir.join("state.db").try_exists().unwrap_or(true) {
        screen.problem(&format!(
            "存储 {at} 尚无平台下发的模型，按本地文件检查 / no model from upstream: there is no store in {at} yet, the \
             chain of the files is checked"
        ));
        return Ok(files);
    }
    let stored = store::stored_models(&dir).map_err(|error| {
        let why = chain(&error);
        screen.problem(&format!(
            "未检查平台下发的模型，须能读存储 {at}：用 sudo / the stored model was not looked at, so nobody knows what a \
             start and a reload would say: {why}; use sudo"
        ));
    })?;
    let mut stored = stored.into_iter();
    let Some((model, synced)) = newest(&mut stored, screen) else {
        screen.problem(&format!(
            "存储 {at} 尚无平台下发的模型，按本地文件检查 / the store {at} has no model from upstream: the chain of the \
             files is checked"
        ));
        return Ok(files);
    };
    let StoredModel { version, by, .. } = &model;
    screen.problem(&format!(
        "按存储 {at} 中平台下发的模型检查：版本 {version}，{by} 下发 / checked with the model that upstream gave: \
         version {version} by {by}, in the store {at}; riskgate reload takes the files up with it"
    ));
    config::check_with(folder, Some(&synced)).map_err(|problems| {
        refused(&problems, screen);
        let mut against = vec![version.to_string()];
        let with = loop {
            match newest(&mut stored, screen) {
                Some((model, synced)) if config::check_with(folder, Some(&synced)).is_err() => {
                    against.push(model.version.to_string());
                }
                Some((model, _)) => break Some(model.version),
                None => break None,
            }
        };
        screen.problem(&unfit(folder, &against, with));
    })
}

/// Which model runs only the agent knows: a start passes over what does not go with the files, and what it passed over
/// keeps no reload from taking them up. `with`: the version that they go with; `None`: their own chain.
fn unfit(folder: &Path, against: &[String], with: Option<u64>) -> String {
    let (path, versions) = (folder.display(), against.join(", "));
    let (zh, en) = match with {
        Some(version) => (format!("版本 {version}"), format!("version {version}")),
        None => ("本地文件".to_owned(), "the files' own chain".to_owned()),
    };
    format!(
        "配置与平台下发的模型版本 {versions} 不符：该版本生效时，重新读取会被拒绝；启动时或已未采用该版本的，按{zh}生效。\
         请改好文件，或由平台重新下发\n\
         {path} does not go with model version {versions}: riskgate reload refuses it while version {versions} is in force; \
         it is taken with {en} where {versions} was passed over already, as a start does. Mend the files, or have \
         upstream send another version"
    )
}

/// The next one that is as it was written. A start passes over the others too.
fn newest(
    stored: &mut impl Iterator<Item = StoredModel>,
    screen: &mut Screen,
) -> Option<(StoredModel, Synced)> {
    stored.find_map(|model| {
        let StoredModel { version, digest, body, .. } = &model;
        match Synced::restored(*version, digest, body) {
            Ok(synced) => Some((model, synced)),
            Err(error) => {
                let why = chain(&error);
                screen.problem(&format!(
                    "存储中的模型版本 {version} 已损坏，不会生效 / the stored model version {version} is damaged and \
                     will not be taken: {why}"
                ));
                None
            }
        }
    })
}
