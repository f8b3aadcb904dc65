//! One session's course: what happens to it, and what follows from it.
//!
//! It decides and prepares; the loop of [`super::client`] polls. Work on the session is one future at a
//! time, so that two never fill it together; the past is read beside it, and holds nothing up.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use opcua::client::transport::TransportPollResult;
use opcua::client::{SessionActivity, SessionConnectMode, SessionPollResult, SubscriptionActivity};
use opcua::types::StatusCode;
use riskgate_point::{Mono, Now};

use super::connect::Way;
use super::fault::{Fault, Patience, is_gone};
use super::recover::{Filled, Suspect};
use super::subscribe::{Filling, Sub, Subscribed};
use super::{Server, connect, plan};
use crate::backoff::Backoff;

/// Publish requests sent after a session came back, one each tick until one is answered. Some servers still
/// hold those of the dead connection, answer them first, and so answer nobody; no more are let in than a
/// few, and each new one pushes out an old one.
const NUDGES_MAX: u8 = 4;

/// Keep-alives between two tries of the items that the server refused: from 30 s to 2 min with keep-alives
/// of 5 s.
const REFUSED_AGAIN: (u32, u32) = (6, 24);

/// Keep-alives between two looks after the silent items of a subscription: a minute with keep-alives of 5 s.
/// 10,000 items are 20 reads. One that is slower is looked after at its own pace: its device may bear no more.
const LOOK_AFTER: u32 = 12;

/// Keep-alives of a subscription after which its silence is its end.
const SILENT_MAX: u32 = 3;

type Work = Pin<Box<dyn Future<Output = Result<Filled, Fault>> + Send>>;
type Past = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Never, while there is no work.
pub(super) async fn filled(work: &mut Option<Work>) -> Result<Filled, Fault> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Never, while nothing of the past is read.
pub(super) async fn ended(past: &mut Option<Past>) {
    match past {
        Some(past) => past.await,
        None => std::future::pending().await,
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Never connected yet.
    First { since: Mono },
    Connected {
        /// Anything came from the server.
        heard: Mono,
        /// We closed the connection and wait for the library to see it.
        cut: Option<Mono>,
        /// How often to ask still for a publish response, after the session came back.
        nudges: u8,
    },
    /// The library tries to bring the session back.
    Lost { since: Mono },
}

pub(super) enum Next {
    Nothing,
    Up,
    Down(Fault),
    /// Close the connection, so that the session comes back on a new one.
    Cut,
}

pub(super) struct Course {
    pub(super) filling: Filling,
    way: Way,
    stage: Stage,
    pub(super) subscribed: Option<Subscribed>,
    /// Building, resuming, or trying refused items again.
    pub(super) work: Option<Work>,
    /// Reading what was missed.
    pub(super) past: Option<Past>,
    /// Of an earlier session, to be taken over by this one: until that is done it is still the server's to hand
    /// over, to the next if this one is lost half-way.
    left: Option<Subscribed>,
    /// The library made a new session: what the old one held is the server's to hand over.
    is_orphaned: bool,
    /// Nothing was filled yet since the session came up or back.
    is_fresh: bool,
    /// When the refused items are tried again, while there are some.
    again: Option<Mono>,
    again_wait: Backoff,
    /// Each subscription, by its id.
    looked_after: BTreeMap<u32, Mono>,
    /// Items, by the places of their points, that will be asked for anew if they have told nothing when they are due.
    suspects: BTreeMap<usize, Suspect>,
}

impl Course {
    pub(super) fn new(filling: Filling, way: Way, left: Option<Subscribed>, now: Mono) -> Self {
        let (first, longest) = REFUSED_AGAIN;
        let keep_alive = filling.server.keep_alive;
        Self {
            filling,
            way,
            stage: Stage::First { since: now },
            subscribed: None,
            work: None,
            past: None,
            left,
            is_orphaned: false,
            is_fresh: true,
            again: None,
            again_wait: Backoff::new(keep_alive * first, keep_alive * longest, now.0),
            looked_after: BTreeMap::new(),
            suspects: BTreeMap::new(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.stage, Stage::Connected { .. })
    }

    /// What the server may still keep once this session is gone: not what its end has deleted.
    pub(super) fn into_left(self) -> Option<Subscribed> {
        let is_kept = self.is_orphaned || !self.is_connected();
        self.left.or(self.subscribed).filter(|_| is_kept)
    }

    fn server(&self) -> &Server {
        &self.filling.server
    }

    pub(super) fn lost(&self, status: StatusCode) -> Fault {
        Fault::Lost { url: self.server().url.clone(), status }
    }

    fn gone(&self) -> Fault {
        Fault::Gone { url: self.server().url.clone() }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's events, of which we need a few")]
    pub(super) fn on_event(&mut self, event: SessionPollResult, now: Mono) -> Result<Next, Fault> {
        match event {
            SessionPollResult::Reconnected(mode) => self.on_connected(mode, now),
            SessionPollResult::ConnectionLost(status) => Ok(self.on_lost(status, now)),
            SessionPollResult::ReconnectFailed(status) => {
                let fault = self.way.fault(status);
                match self.stage {
                    Stage::Lost { .. } if fault.patience() == Patience::Network => Ok(Next::Nothing),
                    Stage::Lost { .. } | Stage::First { .. } | Stage::Connected { .. } => Err(fault),
                }
            }
            SessionPollResult::Transport(TransportPollResult::IncomingMessage) => {
                if let Stage::Connected { heard, .. } = &mut self.stage {
                    *heard = now;
                }
                Ok(Next::Nothing)
            }
            SessionPollResult::Subscription(SubscriptionActivity::Publish) => {
                if let Stage::Connected { nudges, .. } = &mut self.stage {
                    *nudges = 0;
                }
                self.fill_gaps();
                Ok(Next::Nothing)
            }
            SessionPollResult::Subscription(SubscriptionActivity::PublishFailed(status)) => {
                self.filling.out.tally().poll_failed();
                // While work is done on them, subscriptions come and go.
                if is_gone(status) && self.subscribed.is_some() && self.work.is_none() {
                    return Err(self.gone());
                }
                Ok(Next::Nothing)
            }
            SessionPollResult::SessionActivity(SessionActivity::KeepAliveFailed(status)) => {
                tracing::debug!(url = self.server().url, %status, "the server's state could not be read");
                Ok(Next::Nothing)
            }
            _ => Ok(Next::Nothing),
        }
    }

    fn on_lost(&mut self, status: StatusCode, now: Mono) -> Next {
        self.work = None;
        // All is read anew when the session is back.
        self.suspects.clear();
        if self.past.take().is_some() {
            self.filling.run.skip_history_once();
            self.filling.out.tally().skipped("gap", "its reading was broken off", || status.to_string());
        }
        // What we cut ourselves ends "Good"; the cause is that nothing was heard.
        let is_ours = matches!(self.stage, Stage::Connected { cut: Some(_), .. });
        let status = if is_ours { StatusCode::BadTimeout } else { status };
        self.stage = Stage::Lost { since: now };
        Next::Down(self.lost(status))
    }

    fn fill_gaps(&mut self) {
        if let (Some(subscribed), None) = (&self.subscribed, &self.work)
            && subscribed.subs.iter().any(|sub| sub.pulse.is_any_missing())
        {
            self.work = Some(Box::pin(self.filling.clone().fill_gaps(subscribed.clone())));
        }
    }

    fn on_connected(&mut self, mode: SessionConnectMode, now: Mono) -> Result<Next, Fault> {
        self.filling.out.tally().connected();
        let is_first = matches!(self.stage, Stage::First { .. });
        let nudges = if is_first { 0 } else { NUDGES_MAX };
        self.stage = Stage::Connected { heard: now, cut: None, nudges };
        self.is_fresh = true;
        let filling = self.filling.clone();
        self.work = Some(match (mode, self.subscribed.clone()) {
            (SessionConnectMode::NewSession(_), _) if is_first => Box::pin(filling.build(self.left.clone())),
            (SessionConnectMode::ReactivatedSession(_), Some(subscribed)) => {
                Box::pin(filling.resume(subscribed))
            }
            // The server has forgotten the session; or the cut came before there was a subscription.
            (SessionConnectMode::NewSession(_) | SessionConnectMode::ReactivatedSession(_), _) => {
                self.is_orphaned = true;
                return Err(self.gone());
            }
        });
        Ok(Next::Nothing)
    }

    pub(super) fn on_filled(&mut self, filled: Result<Filled, Fault>, now: Mono) -> Result<Next, Fault> {
        self.work = None;
        let Filled { subscribed, missed, suspects } = filled?;
        self.left = None;
        for (at, suspect) in suspects {
            // One that is waited for already is not waited for anew.
            self.suspects.entry(at).or_insert(suspect);
        }
        if std::mem::take(&mut self.is_fresh) {
            for sub in &subscribed.subs {
                sub.pulse.give_time(now);
            }
        }
        let refused_before = self.subscribed.as_ref().map(|before| before.refused.len());
        if refused_before != Some(subscribed.refused.len()) {
            self.again_wait.reset();
        }
        if let Some(missed) = missed {
            let publishing = subscribed.subs.iter().map(|sub| sub.publishing).max().unwrap_or_default();
            let past = self.filling.clone().past(missed, subscribed.limits.clone(), publishing * 2);
            self.past = Some(Box::pin(past));
        }
        self.subscribed = Some(subscribed);
        self.ask_for_conditions(now);
        Ok(Next::Up)
    }

    pub(super) fn on_tick(&mut self, now: Mono) -> Result<Next, Fault> {
        let server = Arc::clone(&self.filling.server);
        let keep_alive = server.keep_alive;
        match &mut self.stage {
            // A connection, a channel and a session: three answers.
            Stage::First { since } if now.since(*since) > connect::REQUEST * 3 => {
                let (url, within) = (server.url.clone(), connect::REQUEST * 3);
                Err(Fault::Silent { url, what: "the opening of a session", within })
            }
            // The server has dropped the session; there is nothing left to come back to.
            Stage::Lost { since } if now.since(*since) > plan::SESSION_KEPT => {
                Err(self.lost(StatusCode::BadTimeout))
            }
            Stage::First { .. } | Stage::Lost { .. } => Ok(Next::Nothing),
            Stage::Connected { cut: Some(cut), .. } => {
                if now.since(*cut) > keep_alive {
                    Err(self.lost(StatusCode::BadTimeout))
                } else {
                    Ok(Next::Nothing)
                }
            }
            Stage::Connected { heard, cut, .. } if now.since(*heard) > keep_alive * 2 => {
                *cut = Some(now);
                Ok(Next::Cut)
            }
            Stage::Connected { nudges, .. } if *nudges > 0 && self.work.is_none() => {
                *nudges -= 1;
                self.filling.session.trigger_publish_now();
                Ok(Next::Nothing)
            }
            Stage::Connected { .. } => self.watch_over(now),
        }
    }

    /// Each subscription by its own keep-alives, then what is to be tried again.
    fn watch_over(&mut self, now: Mono) -> Result<Next, Fault> {
        let Some(subscribed) = &self.subscribed else { return Ok(Next::Nothing) };
        for sub in &subscribed.subs {
            for _ in 0..sub.pulse.newly_late(now, sub.keep_alive) {
                self.filling.out.tally().poll_late();
            }
        }
        let is_silent = |sub: &&Sub| sub.pulse.silent_for(now) > sub.keep_alive * SILENT_MAX;
        let is_of_events = |sub: &&Sub| sub.group == plan::EVENTS;
        // What it told is not to hold until there is time to make it anew.
        if let (Some(alarms), Some(_)) =
            (self.filling.notices.alarms(), subscribed.subs.iter().filter(is_of_events).find(is_silent))
        {
            self.filling.tell(alarms.are_cut_off((self.filling.clock)()));
        }
        if self.work.is_some() {
            return Ok(Next::Nothing);
        }
        let silent: Vec<&Sub> = subscribed.subs.iter().filter(is_silent).collect();
        // Where none speaks, or one that was just made, it is not the subscription that is broken.
        let is_all = !silent.is_empty() && silent.len() == subscribed.subs.len();
        if is_all || silent.iter().any(|sub| !sub.pulse.has_spoken()) {
            return Err(Fault::Quiet { url: self.server().url.clone() });
        }
        let over = subscribed.subs.iter().filter(|sub| sub.pulse.ended().is_some());
        let over: Vec<u32> = over.chain(silent).map(|sub| sub.id).collect();
        if over.is_empty() {
            self.try_again(now);
        } else {
            self.work = Some(Box::pin(self.filling.clone().renew(subscribed.clone(), over)));
        }
        Ok(Next::Nothing)
    }

    /// All that the server keeps, where something of it may have been missed.
    fn ask_for_conditions(&mut self, now: Mono) {
        if let (Some(subscribed), Some(alarms)) = (&self.subscribed, self.filling.notices.alarms())
            && alarms.is_time(Now { mono: now, ..(self.filling.clock)() }, &self.filling.out)
        {
            self.work = Some(Box::pin(self.filling.clone().ask_for_conditions(subscribed.clone())));
        }
    }

    fn try_again(&mut self, now: Mono) {
        self.ask_for_conditions(now);
        if self.work.is_some() {
            return;
        }
        let Some(subscribed) = &self.subscribed else { return };
        if subscribed.refused.is_empty() && self.filling.notices.nodeless().is_empty() {
            self.again = None;
            self.again_wait.reset();
        } else {
            let again = *self.again.get_or_insert_with(|| now.after(self.again_wait.next()));
            if now >= again {
                self.again = None;
                self.work = Some(Box::pin(self.filling.clone().again(subscribed.clone())));
                return;
            }
        }
        self.look_after(now);
    }

    /// What is suspect and has had its time gets a new item; then subscriptions whose turn it is are looked
    /// after, each at its own pace.
    fn look_after(&mut self, now: Mono) {
        let Some(subscribed) = &self.subscribed else { return };
        self.suspects.retain(|at, _| subscribed.has_item(*at));
        let (due, not_yet) =
            std::mem::take(&mut self.suspects).into_iter().partition(|(_, of)| of.due <= now);
        self.suspects = not_yet;
        let silent = self.filling.silent(due);
        if !silent.is_empty() {
            self.work = Some(Box::pin(self.filling.clone().monitor_anew(subscribed.clone(), silent)));
            return;
        }
        let of_points = || subscribed.subs.iter().filter(|sub| sub.group != plan::EVENTS);
        self.looked_after.retain(|id, _| of_points().any(|sub| sub.id == *id));
        let usual = self.filling.server.keep_alive * LOOK_AFTER;
        let mut turn = Vec::new();
        for sub in of_points() {
            let last = self.looked_after.entry(sub.id).or_insert(now);
            if now.since(*last) > usual.max(sub.told_within()) {
                *last = now;
                turn.push(sub.id);
            }
        }
        if !turn.is_empty() {
            self.work = Some(Box::pin(self.filling.clone().look_after(subscribed.clone(), turn)));
        }
    }
}
