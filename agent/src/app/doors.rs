//! By what people and machines on the spot reach the agent: the console's HTTP port and the local socket.
//!
//! Bound before anything runs, so that a port that is taken is told at the start; opened when the board is
//! there to be shown.

use std::sync::Arc;

use anyhow::Context;
use tokio::net::{TcpListener, UnixListener};

use super::parts::Parts;
use crate::config::Site;
use crate::console::socket::{self, Requests};
use crate::console::{BoardHandle, http};
use crate::history::History;
use crate::metrics;

pub(super) struct Doors {
    http: TcpListener,
    socket: UnixListener,
}

impl Doors {
    pub(super) async fn bind(site: &Site) -> anyhow::Result<Self> {
        let http = TcpListener::bind(site.console.http)
            .await
            .with_context(|| format!("bind [console] http = \"{}\"", site.console.http))?;
        let socket = socket::bind(&site.console.socket)?;
        Ok(Self { http, socket })
    }

    pub(super) fn open(self, parts: &mut Parts, board: &BoardHandle, history: &History, requests: Requests) {
        let (shown, stop) = (board.clone(), parts.tasks_stop.clone());
        let (past, history) = (history.clone(), history.clone());
        parts.spawn("the console", async move {
            Ok(http::serve(self.http, shown, Some(history), Arc::new(metrics::text), stop).await?)
        });
        let (asked, stop) = (board.clone(), parts.tasks_stop.clone());
        parts.spawn("the local socket", async move {
            Ok(socket::serve(self.socket, asked, Some(past), requests, stop).await?)
        });
    }
}
