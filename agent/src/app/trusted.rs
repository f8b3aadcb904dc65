//! Takes what `riskgate opcua trust` and `distrust` left in the certificate folder into the journal.
//!
//! A file is removed when its entry is on disk: a crash between the two journals it twice, under the same name.

use std::path::Path;
use std::time::Duration;

use riskgate_drivers::opcua::{LeftAct, Pki};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use riskgate_point::Wall;

use crate::causes::chain;
use crate::store::{JournalEntry, Store};

/// Persons give trust a few times in the life of a gateway.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What the command line leaves.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TrustAct {
    pub(crate) at: i64,
    pub(crate) by: String,
    /// `trust` or `distrust`.
    pub(crate) what: String,
    pub(crate) body: Value,
}

pub(super) async fn run(pki: Pki, store: Store, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let taken = tokio::select! {
            () = stop.cancelled() => return,
            taken = take(&pki, &store) => taken.err().map(|error| format!("{error:#}")),
        };
        if taken != told
            && let Some(why) = &taken
        {
            tracing::warn!(why, "acts of trust are not in the journal yet");
        }
        told = taken;
    }
}

async fn take(pki: &Pki, store: &Store) -> anyhow::Result<()> {
    let folder = pki.clone();
    // The disk may hang.
    let acts = tokio::task::spawn_blocking(move || folder.left_acts()).await??;
    for act in acts {
        store.append(Vec::new(), vec![entry_of(&act)]).await?;
        let folder = pki.clone();
        tokio::task::spawn_blocking(move || folder.take_act(&act.path)).await??;
    }
    Ok(())
}

/// What cannot be read is journalled as it is: somebody wrote it.
fn entry_of(act: &LeftAct) -> JournalEntry {
    let name = act.path.file_name().map(|name| Path::new(name).display().to_string());
    let parsed = serde_json::from_str::<TrustAct>(&act.text).unwrap_or_else(|error| TrustAct {
        at: 0,
        by: "unknown".to_owned(),
        what: "trust_unread".to_owned(),
        body: serde_json::json!({ "text": act.text, "why": chain(&error) }),
    });
    let TrustAct { at, by, what, mut body } = parsed;
    if let Some(fields) = body.as_object_mut() {
        fields.insert("file".to_owned(), name.into());
    }
    JournalEntry { at: Wall(at), by, what, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::{self, Filter};

    #[tokio::test]
    async fn what_was_left_is_journalled_in_order_and_taken_once() {
        let (state, folder) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let pki = Pki::new(folder.path().join("pki"));
        let (store, _) = Store::open(state.path(), Wall(1)).expect("opens");
        take(&pki, &store).await.expect("no folder: nothing was left");
        let act = TrustAct {
            at: 7,
            by: "王敏".to_owned(),
            what: "trust".to_owned(),
            body: serde_json::json!({ "certificate": "3f9c" }),
        };
        pki.leave_act("2", &serde_json::to_string(&act).expect("JSON")).expect("left");
        pki.leave_act("1", "no JSON").expect("left");
        take(&pki, &store).await.expect("taken");
        take(&pki, &store).await.expect("nothing is left");
        let mut entries = Vec::new();
        let read = journal::read(state.path(), &Filter::default(), |entry| {
            entries.push((entry.by, entry.what, entry.body["file"].clone()));
            true
        });
        read.expect("read");
        let told: Vec<_> = entries.iter().skip(1).map(|(by, what, _)| (by.as_str(), what.as_str())).collect();
        assert_eq!(told, [("unknown", "trust_unread"), ("王敏", "trust")]);
        assert_eq!(entries[2].2, "2");
    }
}
