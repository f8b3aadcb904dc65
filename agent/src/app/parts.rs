//! The parts that run for as long as the agent does. One that ends by itself or panics ends the agent: half
//! an agent would look alive and miss what it is there for.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::events::Event;
use crate::pump::Left;
use crate::store::Committed;

pub(super) struct Parts {
    /// The pump is joined by itself: it ends before the rest.
    pump: JoinSet<Left>,
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
    /// Closed when the store's thread ends.
    committed: watch::Receiver<Committed>,
    pub(super) pump_stop: CancellationToken,
    pub(super) tasks_stop: CancellationToken,
}

impl Parts {
    pub(super) fn new(committed: watch::Receiver<Committed>) -> Self {
        Self {
            pump: JoinSet::new(),
            tasks: JoinSet::new(),
            names: HashMap::new(),
            committed,
            pump_stop: CancellationToken::new(),
            tasks_stop: CancellationToken::new(),
        }
    }

    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let id = self.tasks.spawn(part).id();
        self.names.insert(id, name);
    }

    pub(super) fn spawn_pump(&mut self, pump: impl Future<Output = Left> + Send + 'static) {
        self.pump.spawn(pump);
    }

    /// Waits until one of them ends, which none should; says which and why. Cancel-safe.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        let store_ended = async { while self.committed.changed().await.is_ok() {} };
        tokio::select! {
            () = store_ended => anyhow!("the store's thread ended by itself"),
            Some(ended) = self.pump.join_next() => match ended {
                Ok(_left) => anyhow!("the pump ended by itself"),
                Err(panic) => broken("the pump", panic),
            },
            Some(ended) = self.tasks.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
                let name = self.names.get(&id).copied().unwrap_or("a part of the agent");
                match ended {
                    Ok((_, Ok(()))) => anyhow!("{name} ended by itself"),
                    Ok((_, Err(error))) => error.context(format!("{name} ended")),
                    Err(panic) => broken(name, panic),
                }
            }
        }
    }

    /// Tells the pump to judge and commit what is left. `None`: it has not done so in time.
    pub(super) async fn end_pump(&mut self, within: Duration) -> Option<Left> {
        self.pump_stop.cancel();
        match tokio::time::timeout(within, self.pump.join_next()).await {
            // It panicked or had ended before, which is told already.
            Ok(None | Some(Err(_))) => Some(Left { over: 0 }),
            Ok(Some(Ok(left))) => Some(left),
            Err(_) => None,
        }
    }

    /// Tells the rest to say their last word.
    pub(super) async fn end_tasks(&mut self, within: Duration) {
        self.tasks_stop.cancel();
        let all = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                if let Ok((id, _)) = ended {
                    self.names.remove(&id);
                }
            }
        };
        if tokio::time::timeout(within, all).await.is_err() {
            let mut late: Vec<&str> = self.names.values().copied().collect();
            late.sort_unstable();
            Event::StopTookTooLong { part: &late.join(", "), within }.emit();
        }
    }
}

/// The panic's own words are in the log, where it happened.
pub(super) fn broken(name: &str, error: JoinError) -> anyhow::Error {
    anyhow!("{name} broke: {error}; please report this line")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(start: impl FnOnce(&mut Parts)) -> String {
        let (_committed, receiver) = watch::channel(Committed::default());
        let mut parts = Parts::new(receiver);
        parts.spawn("the console", std::future::pending());
        start(&mut parts);
        format!("{:#}", parts.ended().await)
    }

    #[tokio::test]
    async fn a_part_that_panics_ends_or_fails_is_named_with_its_reason() {
        let panicked = said(|parts| parts.spawn("the uplink", async { panic!("no such lane") })).await;
        assert!(
            panicked.starts_with("the uplink broke: ") && panicked.contains("no such lane"),
            "{panicked}"
        );
        let ended = said(|parts| parts.spawn("the uplink", async { Ok(()) })).await;
        assert_eq!(ended, "the uplink ended by itself");
        let failed = said(|parts| parts.spawn("the uplink", async { Err(anyhow!("no port")) })).await;
        assert_eq!(failed, "the uplink ended: no port");
        let pump = said(|parts| parts.spawn_pump(async { panic!("two and two") })).await;
        assert!(pump.starts_with("the pump broke: ") && pump.contains("two and two"), "{pump}");
    }

    #[tokio::test]
    async fn the_end_of_the_stores_thread_is_noticed_behind_its_last_commit() {
        let (committed, receiver) = watch::channel(Committed::default());
        let mut parts = Parts::new(receiver);
        parts.spawn_pump(std::future::pending());
        committed.send_modify(|committed| committed.seq += 1);
        drop(committed);
        assert_eq!(parts.ended().await.to_string(), "the store's thread ended by itself");
    }
}
