//! The console over HTTP: one page, its live stream, health and metrics. Loopback only, and it only reads.
//!
//! The listener is handed in, bound by the caller to a loopback address. Any method but GET and HEAD is
//! refused, and so is a request that names another host than this machine: a web page elsewhere that points
//! its own name at 127.0.0.1 (DNS rebinding) reads nothing here. The page loads nothing from anywhere else.
//!
//! The live stream (`/events`) sends `board` first, then `change` with the lines that changed, and `tick`
//! every 5 s with the gateway's clock and health. The tick is an event and not a comment because a page
//! cannot see comments, and a page that cannot tell a quiet plant from a frozen gateway would show stale
//! rows as live. A stream that falls behind is ended; the browser comes back by itself and gets the whole
//! board.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::board::{BoardHandle, Change};
use super::trend;
use super::view::{BoardView, ChangeView, HealthView, TickView};
use crate::causes::chain;
use crate::explain::{self, ExplainError, Explained};
use crate::history::History;

mod listener;

/// Connections at once: a browser holds up to 6, a scraper 1; a few of each, and the sources keep their
/// file descriptors whatever comes in here.
const CONNECTIONS_MAX: usize = 64;

/// Live streams at once: the control room's screens and a few engineers. Each costs its rendering.
const STREAMS_MAX: usize = 16;

/// A page that hears nothing for a little over two of these says that it is not live.
const TICK: Duration = Duration::from_secs(5);

/// An explanation reads the store: a disk that hangs holds up one answer, and not for ever.
const EXPLAIN_MAX: Duration = Duration::from_secs(10);

/// How long open connections may take to end once we stop; the whole agent has 5 s.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(1);

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

/// The text of `/metrics`, made anew for each request.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("serve the console on {address}")]
    Serve { address: String, source: std::io::Error },
    #[error("the console listens on {address}, which other machines can reach: it binds loopback only")]
    NotLoopback { address: String },
}

#[derive(Clone)]
struct Console {
    board: BoardHandle,
    /// `None`: there is none to show.
    history: Option<History>,
    metrics: Metrics,
    streams: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Serves until `stop`; then open streams end, and what does not end in a second is dropped.
pub async fn serve(
    listener: TcpListener,
    board: BoardHandle,
    history: Option<History>,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<(), HttpError> {
    let address = listener.local_addr();
    let named = address.as_ref().map_or_else(|_| "an unknown address".to_owned(), ToString::to_string);
    if !address.is_ok_and(|address| address.ip().is_loopback()) {
        return Err(HttpError::NotLoopback { address: named });
    }
    let streams = Arc::new(Semaphore::new(STREAMS_MAX));
    let router = router(Console { board, history, metrics, streams, stop: stop.clone() });
    let listener = listener::Bounded::new(listener, CONNECTIONS_MAX);
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let hurry = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        served = serving.into_future() => {
            served.map_err(|source| HttpError::Serve { address: named, source })
        }
        () = hurry => Ok(()),
    }
}

fn router(console: Console) -> Router {
    Router::new()
        .route("/", get(|| async { asset("text/html; charset=utf-8", PAGE) }))
        .route("/page.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route("/page.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/icon.svg", get(|| async { asset("image/svg+xml", ICON) }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/api/board", get(api_board))
        .route("/api/trend", get(api_trend))
        .route("/trend", get(trend_page))
        .route("/api/explain", get(api_explain))
        .route("/explain", get(explain_page))
        .route("/events", get(events))
        .fallback(|| async {
            let found =
                "not found; there is / /metrics /healthz /readyz /events /trend /api/board /api/trend \
                 /explain /api/explain\n";
            (StatusCode::NOT_FOUND, found)
        })
        .layer(from_fn(guard))
        .with_state(console)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn metrics(State(console): State<Console>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], (console.metrics)()).into_response()
}

async fn healthz(State(console): State<Console>) -> Response {
    let health = HealthView::now(&console.board);
    (status(health.healthy), Json(health)).into_response()
}

async fn readyz(State(console): State<Console>) -> Response {
    let health = HealthView::now(&console.board);
    (status(health.ready), Json(health)).into_response()
}

fn status(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn api_board(State(console): State<Console>) -> Response {
    Json(BoardView::of(&console.board)).into_response()
}

async fn api_trend(State(console): State<Console>, RawQuery(query): RawQuery) -> Response {
    match trend::asked(&console.board, console.history.as_ref(), query.as_deref()).await {
        Ok(shown) => Json(shown.view()).into_response(),
        Err((status, why)) => (status, why).into_response(),
    }
}

async fn explained(console: &Console, query: Option<&str>) -> Result<Explained, (StatusCode, String)> {
    let id = trend::value(query, "id")
        .ok_or((StatusCode::BAD_REQUEST, "write ?id= and the id of an alarm or a hazard\n".to_owned()))?;
    let asked = explain::asked(&console.board, console.history.as_ref(), &id);
    let slow = (StatusCode::SERVICE_UNAVAILABLE, "the disk does not answer\n".to_owned());
    let explained = tokio::time::timeout(EXPLAIN_MAX, asked).await.map_err(|_| slow)?;
    explained.map_err(|error| {
        let status = match &error {
            ExplainError::Unknown { .. } | ExplainError::Quiet { .. } => StatusCode::NOT_FOUND,
            ExplainError::Ambiguous { .. } => StatusCode::BAD_REQUEST,
            ExplainError::Store(_) | ExplainError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, format!("{}\n", chain(&error)))
    })
}

async fn api_explain(State(console): State<Console>, RawQuery(query): RawQuery) -> Response {
    match explained(&console, query.as_deref()).await {
        Ok(explained) => Json(explained).into_response(),
        Err((status, why)) => (status, why).into_response(),
    }
}

async fn explain_page(State(console): State<Console>, RawQuery(query): RawQuery) -> Response {
    match explained(&console, query.as_deref()).await {
        Ok(explained) => {
            let page = trend::preformatted(&explained.id, &explained.text());
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
        }
        Err((status, why)) => (status, why).into_response(),
    }
}

async fn trend_page(State(console): State<Console>, RawQuery(query): RawQuery) -> Response {
    let page = |text: String| ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text);
    if query.as_deref().is_none_or(str::is_empty) {
        return page(trend::list(&console.board)).into_response();
    }
    match trend::asked(&console.board, console.history.as_ref(), query.as_deref()).await {
        Ok(shown) => page(shown.page()).into_response(),
        Err((status, why)) => (status, why).into_response(),
    }
}

async fn events(State(console): State<Console>, method: Method) -> Response {
    if method == Method::HEAD {
        return ([(header::CONTENT_TYPE, "text/event-stream")], ()).into_response();
    }
    let Ok(permit) = Arc::clone(&console.streams).try_acquire_owned() else {
        let full = format!("{STREAMS_MAX} live streams are open already; close one\n");
        return (StatusCode::SERVICE_UNAVAILABLE, full).into_response();
    };
    // Listening begins before the board is read, so nothing falls between the two.
    let changes = console.board.changes();
    let tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    let live = Live { console, changes, tick, shown: None, _permit: permit };
    let stream = stream::unfold(live, |mut live| async {
        let event = live.next().await?;
        Some((Ok::<_, Infallible>(event), live))
    });
    Sse::new(stream).into_response()
}

/// One live stream.
struct Live {
    console: Console,
    changes: broadcast::Receiver<Arc<Change>>,
    tick: tokio::time::Interval,
    /// The version of the board that the browser has; `None` before the first event.
    shown: Option<u64>,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    /// `None` ends the stream: we stop, or the browser fell behind.
    async fn next(&mut self) -> Option<Event> {
        let Some(shown) = self.shown else {
            return self.whole();
        };
        loop {
            tokio::select! {
                biased;
                () = self.console.stop.cancelled() => return None,
                change = self.changes.recv() => {
                    let change = match change {
                        Ok(change) => self.merged(&change)?,
                        Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                    };
                    if change.version <= shown {
                        continue;
                    }
                    if change.whole {
                        return self.whole();
                    }
                    self.shown = Some(change.version);
                    let view = ChangeView::of(&self.console.board, &change);
                    return Event::default().event("change").json_data(view).ok();
                }
                _ = self.tick.tick() => {
                    return Event::default().event("tick").json_data(TickView::of(&self.console.board)).ok();
                }
            }
        }
    }

    fn whole(&mut self) -> Option<Event> {
        let view = BoardView::of(&self.console.board);
        self.shown = Some(view.version);
        Event::default().event("board").json_data(view).ok()
    }

    /// The change with all that wait behind it, so a flood costs one rendering and not one each.
    fn merged(&mut self, first: &Change) -> Option<Change> {
        let mut change = first.clone();
        loop {
            match self.changes.try_recv() {
                Ok(more) => change.merge(&more),
                Err(TryRecvError::Empty) => return Some(change),
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return None,
            }
        }
    }
}

/// What every answer has to pass: the method, the host, and the headers that keep a browser strict.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some((code, why)) => (code, why).into_response(),
        None => next.run(request).await,
    };
    let status = response.status();
    let headers = response.headers_mut();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    let policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(request: &Request) -> Option<(StatusCode, &'static str)> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(axum::http::uri::Authority::as_str);
    let local = host.is_some_and(names_this_machine) && authority.is_none_or(names_this_machine);
    if !local {
        let why = "this console answers to localhost, 127.0.0.1 and [::1] only\n";
        return Some((StatusCode::FORBIDDEN, why));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let why = "the console only reads: GET and HEAD; acts go by the command line, see riskgate --help\n";
        return Some((StatusCode::METHOD_NOT_ALLOWED, why));
    }
    None
}

/// Any port: behind `ssh -L 9000:127.0.0.1:8080` the browser says `localhost:9000`.
fn names_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
