//! Rows that the broker would not take: each is told as a gap and journalled with its leaving the outbox, and stays
//! known as refused.

use futures_util::stream::StreamExt;
use tokio::time::timeout;

use super::{Answer, Link};
use crate::uplink::STOP_WITHIN;
use crate::uplink::{gap, wire};

/// MQTT 3.1.1 has no word for it.
const WHY: &str = "the broker hangs up on it, also where it is sent alone";

impl Link<'_> {
    pub(super) fn tell_refused(&mut self) {
        while let Some(row) = self.session.take_refused() {
            let (store, now) = (self.uplink.store.clone(), self.uplink.now());
            let bytes = wire::row_bytes(&row, &self.uplink.origin, false).len();
            let (gap, entry) = gap::of_refused(&row, bytes, now);
            self.telling += 1;
            self.asked.push(Box::pin(async move {
                let told = store.refuse(row.seq, WHY, (gap, entry), now).await;
                Answer::Refused(row, told)
            }));
        }
    }

    /// The connection is over: what is half told would be told twice.
    pub(super) async fn end_telling(&mut self) {
        let told = async {
            while self.telling > 0
                && let Some(answer) = self.asked.next().await
            {
                self.answered(answer);
            }
        };
        if timeout(STOP_WITHIN, told).await.is_err() {
            tracing::warn!("the store took too long; a refused message may be told twice");
        }
    }
}
