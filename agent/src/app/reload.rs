//! `riskgate reload` and SIGHUP: checks the configuration, and swaps it in between two inputs.
//!
//! A configuration with a problem is refused whole and the running one stays. What the process is bound to
//! (identity, broker, ports, folders) needs a restart and says so. Alarms, hazards and boosts keep their
//! identity: that is the engine's work.

use std::sync::Arc;

use riskgate_engine::Plant;
use serde_json::json;
use tokio::sync::oneshot;

use super::Instance;
use super::sources::Sources;
use crate::config::{self, Checked, SecretError, Site};
use crate::events::Event;
use crate::pump::Order;
use crate::store::JournalEntry;

impl Instance {
    /// What was swapped in, in one line; or why nothing has changed.
    pub(super) async fn reload(&mut self) -> Result<String, String> {
        let checked = self.checked().await.inspect_err(|_| Event::ReloadRefused.emit())?;
        let Checked { site, plant, sources, hash, .. } = checked;
        if hash == self.hash {
            return Ok("the configuration has not changed".to_owned());
        }
        if let Some(what) = needs_restart(&self.site, &site) {
            Event::ReloadRefused.emit();
            return Err(format!("{what} has changed: that needs a restart (systemctl restart riskgate)"));
        }
        let plant = Arc::new(plant);
        self.sources.halt().await;
        let (sources, intake) = Sources::start(sources, &plant, self.clock);
        let old = std::mem::replace(&mut self.sources, sources);
        let entry = JournalEntry {
            at: (self.clock)().wall,
            by: "riskgate".to_owned(),
            what: "reload".to_owned(),
            body: json!({ "old": self.hash, "new": hash }),
        };
        let (done, swapped) = oneshot::channel();
        let order = Order::Swap { plant: Arc::clone(&plant), intake, entry, done };
        if self.orders.send(order).await.is_err() || swapped.await.is_err() {
            return Err("the agent is stopping".to_owned());
        }
        drop(old);
        Event::Reloaded { old: &self.hash, new: &hash }.emit();
        let said = describe(&plant);
        self.plant.send_replace(plant);
        self.hash = hash;
        self.site = site;
        Ok(said)
    }

    async fn checked(&self) -> Result<Checked, String> {
        let folder = self.folder.clone();
        let read = move || {
            let mut checked = config::check(&folder).map_err(|problems| problems.render(false))?;
            checked.load_secrets(&folder).map_err(|errors| secrets_text(&errors))?;
            Ok(checked)
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|panic| Err(format!("the check panicked: {panic}")))
    }
}

/// One line for each password that could not be had.
pub fn secrets_text(errors: &[SecretError]) -> String {
    let line = |error: &SecretError| match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn describe(plant: &Plant) -> String {
    format!(
        "{} sources, {} points, {} rules now run",
        plant.sources().len(),
        plant.points().len(),
        plant.rules().len()
    )
}

/// The part of the configuration that a running process cannot change, if it differs.
fn needs_restart(old: &Site, new: &Site) -> Option<&'static str> {
    let same = [
        (old.company == new.company && old.gateway == new.gateway && old.name == new.name, "[gateway]"),
        (old.timezone == new.timezone, "[gateway] timezone"),
        (old.uplink == new.uplink, "[uplink]"),
        (old.console == new.console, "[console]"),
        (old.store == new.store, "[store]"),
    ];
    same.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
}
