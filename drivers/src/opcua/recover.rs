//! The course of what a session holds: building it, bringing it back after a cut, taking it over from a
//! session that is gone, trying again what was refused, and looking whether what is silent is still alive.
//!
//! What the server kept for us is asked for first; only where it kept nothing is there a gap, and then
//! [`super::history`] asks what was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::Subscription;
use opcua::types::{Error, NotificationMessage, ReadValueId, StatusCode, TimestampsToReturn};
use riskgate_point::Mono;

use super::fault::{Fault, is_gone};
use super::notices::{Callback, Last, Missed};
use super::subscribe::{Filling, Limits, Sub, Subscribed};
use super::{decode, plan};

/// Messages asked for again after a cut. The library keeps two publish requests at the server, so that two
/// can have been lost on the way; servers keep a few more.
const REPUBLISHED_MAX: u32 = 32;

/// Of a publishing interval, when what the server kept is awaited before the present is read: what a slower
/// group kept comes after its present values, and is counted as late.
const AWAITED_MAX: Duration = Duration::from_secs(5);

/// What a session holds after some work on it.
pub(super) struct Filled {
    pub(super) subscribed: Subscribed,
    /// What nobody kept for us.
    pub(super) missed: Option<Missed>,
    /// Items that ought to tell something soon.
    pub(super) suspects: BTreeMap<usize, Suspect>,
}

/// An item whose node reads other than what was told of it. It goes by the place of its point.
#[derive(Debug)]
pub(super) struct Suspect {
    /// What was told when it was read.
    last: Last,
    /// By then its own group has sampled and published it twice over.
    pub(super) due: Mono,
}

impl Filled {
    pub(super) fn whole(subscribed: Subscribed) -> Self {
        Self { subscribed, missed: None, suspects: BTreeMap::new() }
    }
}

impl Filling {
    /// Everything, in a session that holds nothing yet. What is left of an earlier one is taken over.
    pub(super) async fn build(self, left: Option<Subscribed>) -> Result<Filled, Fault> {
        self.notices.watch_clock_offset(self.session.context());
        let limits = self.read_limits().await?;
        let mut subscribed = match left {
            Some(left) => self.take_over(left, limits).await?,
            None => Subscribed::new(limits, self.server.points.len()),
        };
        let missed = self.missed(&subscribed);
        self.fill(&mut subscribed).await?;
        Ok(Filled { missed, ..Filled::whole(subscribed) })
    }

    /// What comes from now on does not join on to what came before.
    fn missed(&self, subscribed: &Subscribed) -> Option<Missed> {
        let is_refused = |at: &usize| subscribed.refused.binary_search(at).is_ok();
        let lacking: Vec<usize> =
            (0..self.server.points.len()).filter(|at| !subscribed.has_item(*at) && !is_refused(at)).collect();
        if lacking.is_empty() { None } else { self.notices.gap_of(lacking.into_iter()) }
    }

    /// After a cut that the session survived: what the server published into the dead connection, then what
    /// it kept since, then each point's present value, so that none stays bad which has not moved.
    pub(super) async fn resume(self, mut subscribed: Subscribed) -> Result<Filled, Fault> {
        self.delete_strays(&subscribed).await?;
        let subs = subscribed.subs.clone();
        self.join_on(&subscribed, &subs).await?;
        self.retry(&mut subscribed).await?;
        Ok(Filled::whole(subscribed))
    }

    /// What was being made when the connection was cut, and nobody kept account of: it would be made once more,
    /// and both would publish for as long as the session lasts. In a session that the server forgets instead
    /// its subscriptions end by themselves, after [`plan::KEPT`].
    async fn delete_strays(&self, subscribed: &Subscribed) -> Result<(), Fault> {
        let made = self.session.subscription_state().lock().subscription_ids().unwrap_or_default();
        let is_stray = |id: &u32| subscribed.subs.iter().all(|sub| sub.id != *id);
        let strays: Vec<u32> = made.into_iter().filter(is_stray).collect();
        if strays.is_empty() {
            return Ok(());
        }
        tracing::info!(url = self.server.url, n = strays.len(), "deleting subscriptions that were half made");
        match self.session.delete_subscriptions(&strays).await {
            Err(error) if is_lost(&error) => Err(self.fault("deleting a subscription")(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The subscriptions of a session that is gone, where the server still keeps them and gives them to us.
    ///
    /// Not after a restart: they ended with it, and their numbers may by now be those of another client of the
    /// same user, from whom they would be taken.
    async fn take_over(&self, mut left: Subscribed, limits: Limits) -> Result<Subscribed, Fault> {
        if limits.is_of_another_run(&left.limits) {
            let n_gone = left.subs.len();
            tracing::info!(
                url = self.server.url,
                n_gone,
                "the server was restarted, and its subscriptions ended"
            );
            return Ok(Subscribed::new(limits, self.server.points.len()));
        }
        left.limits = limits;
        let ids: Vec<u32> = left.subs.iter().map(|sub| sub.id).collect();
        if ids.is_empty() {
            return Ok(left);
        }
        let given = match self.session.transfer_subscriptions(&ids, false).await {
            Ok(results) => results,
            Err(error) if is_lost(&error) => {
                return Err(self.fault("taking over the subscriptions of the last session")(error));
            }
            // Many servers cannot.
            Err(error) => {
                tracing::debug!(url = self.server.url, %error, "the server hands no subscription over");
                Vec::new()
            }
        };
        let is_given = |at: usize| given.get(at).is_some_and(|result| result.status_code.is_good());
        let (mut ours, mut gone) = (Vec::new(), Vec::new());
        for (at, sub) in left.subs.iter().enumerate() {
            if is_given(at) {
                self.register(sub);
                ours.push(sub.clone());
            } else {
                gone.push(sub.id);
            }
        }
        left.forget(&gone);
        tracing::info!(
            url = self.server.url,
            n_taken_over = ours.len(),
            n_gone = gone.len(),
            "subscriptions of the last session"
        );
        self.join_on(&left, &ours).await?;
        Ok(left)
    }

    /// So that the library passes its messages on. Nothing was published since the answer: the requests for
    /// it are sent after this.
    fn register(&self, sub: &Sub) {
        sub.pulse.give_time((self.clock)().mono);
        let callback = Callback { notices: Arc::clone(&self.notices), pulse: Arc::clone(&sub.pulse) };
        let count = sub.keep_alive.as_nanos().checked_div(sub.publishing.as_nanos()).unwrap_or(1);
        let known = Subscription::new(
            sub.id,
            sub.publishing,
            u32::MAX,
            u32::try_from(count).unwrap_or(u32::MAX),
            plan::notifications_max(sub.group),
            0,
            true,
            Box::new(callback),
        );
        self.session.subscription_state().lock().add_subscription(known);
    }

    /// Brings subscriptions that the server kept up to the present.
    async fn join_on(&self, subscribed: &Subscribed, subs: &[Sub]) -> Result<(), Fault> {
        for sub in subs {
            self.catch_up(sub).await?;
        }
        self.session.trigger_publish_now();
        let longest = subs.iter().map(|sub| sub.publishing).max().unwrap_or_default().min(AWAITED_MAX);
        let drained = futures_util::future::join_all(subs.iter().map(|sub| sub.pulse.drained.notified()));
        // A server with nothing to say says so only at the next keep-alive: no need to wait for that.
        let _either_way = tokio::time::timeout(longest * 2, drained).await;
        self.recover(subs).await?;
        if let Some(alarms) = self.notices.alarms() {
            self.tell(alarms.begin_anew((self.clock)()));
        }
        let ids: Vec<u32> = subs.iter().map(|sub| sub.id).collect();
        self.read_present(subscribed, subscribed.points_of(&ids)).await
    }

    /// Asks again for messages whose numbers show that they were sent and did not arrive.
    pub(super) async fn fill_gaps(self, subscribed: Subscribed) -> Result<Filled, Fault> {
        self.recover(&subscribed.subs).await?;
        Ok(Filled::whole(subscribed))
    }

    /// Asks for the message that comes next, until there is none: it may have been sent and lost.
    async fn catch_up(&self, sub: &Sub) -> Result<(), Fault> {
        for _ in 0..REPUBLISHED_MAX {
            match self.session.republish(sub.id, sub.pulse.next_sequence()).await {
                Ok(message) if holds_data(&message) => self.notices.take(&sub.pulse, &message),
                Err(error) if is_lost(&error) => return Err(self.fault("asking for lost messages")(error)),
                // Nothing more was lost, or the server keeps nothing; some say so by an empty message.
                Ok(_) | Err(_) => break,
            }
        }
        Ok(())
    }

    async fn recover(&self, subs: &[Sub]) -> Result<(), Fault> {
        let (mut n_missing, mut n_lost) = (0_usize, 0_usize);
        // Before the wait for what is missing: a refresh may end meanwhile.
        let are_events = subs.iter().any(|sub| sub.group == plan::EVENTS && sub.pulse.is_any_missing());
        let alarms = self.notices.alarms().filter(|_| are_events);
        if let Some(alarms) = alarms {
            self.tell(alarms.may_have_missed((self.clock)()));
        }
        for sub in subs {
            for sequence in sub.pulse.missing() {
                n_missing += 1;
                match self.session.republish(sub.id, sequence).await {
                    Ok(message) if holds_data(&message) => self.notices.take(&sub.pulse, &message),
                    Err(error) if is_lost(&error) => {
                        return Err(self.fault("asking for lost messages")(error));
                    }
                    Ok(_) | Err(_) => {
                        n_lost += 1;
                        self.out.tally().skipped("messages", "lost on the way", || sequence.to_string());
                    }
                }
            }
        }
        if n_missing > 0 {
            if let Some(alarms) = alarms {
                self.tell(alarms.may_have_missed((self.clock)()));
            }
            let url = &self.server.url;
            tracing::info!(url, n_missing, n_lost, "asked again for messages that did not arrive");
        }
        Ok(())
    }

    /// Tries the refused points and those without a node again, with the namespaces as they are now.
    pub(super) async fn again(self, mut subscribed: Subscribed) -> Result<Filled, Fault> {
        self.retry(&mut subscribed).await?;
        Ok(Filled::whole(subscribed))
    }

    async fn retry(&self, subscribed: &mut Subscribed) -> Result<(), Fault> {
        let nodeless = self.notices.nodeless();
        if subscribed.refused.is_empty() && nodeless.is_empty() {
            return Ok(());
        }
        subscribed.limits = self.read_limits().await?;
        self.unmonitor(subscribed, nodeless.into_iter()).await?;
        self.fill(subscribed).await
    }

    /// Subscriptions that the server has ended, or that have fallen silent beside others that have not, are
    /// made anew; the others do not notice.
    pub(super) async fn renew(self, mut subscribed: Subscribed, ids: Vec<u32>) -> Result<Filled, Fault> {
        if let (Some(alarms), Some(events)) = (self.notices.alarms(), subscribed.events())
            && ids.contains(&events)
        {
            self.tell(alarms.are_cut_off((self.clock)()));
        }
        let points = subscribed.points_of(&ids);
        self.notices.lost(points.iter().copied());
        let url = &self.server.url;
        tracing::warn!(
            url,
            n_points = points.len(),
            "a subscription has ended or fallen silent; subscribing anew"
        );
        self.close(&mut subscribed, &ids).await?;
        let missed = self.notices.gap_of(points.into_iter());
        self.fill(&mut subscribed).await?;
        Ok(Filled { missed, ..Filled::whole(subscribed) })
    }

    /// Reads these points once. A value as old as the publishing interval will do.
    async fn read_present(&self, subscribed: &Subscribed, points: Vec<usize>) -> Result<(), Fault> {
        let publishing = subscribed.subs.iter().map(|sub| sub.publishing).min().unwrap_or_default();
        for portion in points.chunks(subscribed.limits.nodes_in_a_read) {
            let (handles, asked) = self.asked(portion, subscribed);
            if asked.is_empty() {
                continue;
            }
            let max_age_ms = publishing.as_secs_f64() * 1000.0;
            let what = "reading the present values";
            let values = self.read(what, &asked, TimestampsToReturn::Source, max_age_ms).await?;
            self.notices.tell(self.notices.samples(handles.into_iter().zip(&values)));
        }
        Ok(())
    }

    /// The points that have a node on this server, by their handles.
    fn asked(&self, points: &[usize], subscribed: &Subscribed) -> (Vec<u32>, Vec<ReadValueId>) {
        let asked = points.iter().filter_map(|at| {
            let node = plan::value_of(self.server.points.get(*at)?, &subscribed.limits.namespaces)?;
            Some((plan::handle_of(*at)?, node))
        });
        asked.unzip()
    }

    /// Reads what is monitored and compares: an item whose node was taken away, or away and back, is silent
    /// for ever on many servers, and its keep-alives say that all is well. What is other than what was told
    /// is suspect, for as long as its own group may take to tell it: a slow one holds up no other.
    pub(super) async fn look_after(self, subscribed: Subscribed, turn: Vec<u32>) -> Result<Filled, Fault> {
        let mut suspects = BTreeMap::new();
        for sub in subscribed.subs.iter().filter(|sub| turn.contains(&sub.id)) {
            for portion in subscribed.points_of(&[sub.id]).chunks(subscribed.limits.nodes_in_a_read) {
                let before: Vec<Last> =
                    portion.iter().map(|at| self.notices.last(*at).unwrap_or_default()).collect();
                let (handles, asked) = self.asked(portion, &subscribed);
                if asked.len() != portion.len() {
                    continue;
                }
                let what = "looking after silent items";
                let values = self.read(what, &asked, TimestampsToReturn::Source, 0.0).await?;
                let due = (self.clock)().mono.after(sub.told_within());
                let read = handles.into_iter().filter_map(plan::at_of).zip(values).zip(before);
                let others = read.filter(|((at, value), last)| self.notices.is_other(*at, value, last));
                suspects.extend(others.map(|((at, _), last)| (at, Suspect { last, due })));
            }
        }
        Ok(Filled { suspects, ..Filled::whole(subscribed) })
    }

    /// Those of the suspects, each of which had its time, that have told nothing since.
    pub(super) fn silent(&self, suspects: BTreeMap<usize, Suspect>) -> Vec<usize> {
        let is_silent = |(at, of): &(usize, Suspect)| self.notices.last(*at).as_ref() == Some(&of.last);
        suspects.into_iter().filter(is_silent).map(|(at, _)| at).collect()
    }

    /// Gives them new items.
    pub(super) async fn monitor_anew(
        self,
        mut subscribed: Subscribed,
        silent: Vec<usize>,
    ) -> Result<Filled, Fault> {
        self.tell_silent(&silent);
        subscribed.limits = self.read_limits().await?;
        self.unmonitor(&mut subscribed, silent.iter().copied()).await?;
        self.fill(&mut subscribed).await?;
        Ok(Filled::whole(subscribed))
    }

    fn tell_silent(&self, other: &[usize]) {
        let mut is_news = false;
        for at in other {
            let Some(point) = self.server.points.get(*at) else { continue };
            let told = self.out.tally().skipped(&point.tag, "fell silent", || point.node.to_string());
            is_news |= told == 1;
        }
        if is_news {
            let named: Vec<(usize, ())> = other.iter().map(|at| (*at, ())).collect();
            tracing::warn!(
                url = self.server.url,
                n_points = other.len(),
                points = self.names(&named, |_, _| String::new()),
                "the server told nothing of items that have changed; subscribing them anew"
            );
        }
    }
}

fn holds_data(message: &NotificationMessage) -> bool {
    message.notification_data.as_ref().is_some_and(|parts| !parts.is_empty())
}

/// The same, for what is asked beside the values. A slow answer to it ends nothing that works: whether the
/// link is dead, the silence of the subscriptions shows.
pub(super) fn is_lost_beside(error: &Error) -> bool {
    is_lost(error) && !is_slow(error.status())
}

/// No answer came in time.
pub(super) fn is_slow(status: StatusCode) -> bool {
    decode::code(status) == StatusCode::BadTimeout
}

/// There is nobody left to ask, rather than nothing to be had.
pub(super) fn is_lost(error: &Error) -> bool {
    let closed = [StatusCode::BadTimeout, StatusCode::BadConnectionClosed, StatusCode::BadNotConnected];
    is_gone(error.status()) || closed.contains(&decode::code(error.status()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_about_what_is_beside_the_values_is_no_lost_link() {
        let ends = |status| (is_lost(&Error::new(status, "")), is_lost_beside(&Error::new(status, "")));
        assert_eq!(ends(StatusCode::BadTimeout), (true, false));
        assert_eq!(ends(StatusCode::BadConnectionClosed), (true, true));
        assert_eq!(ends(StatusCode::BadSessionIdInvalid), (true, true));
        assert_eq!(ends(StatusCode::BadServiceUnsupported), (false, false));
    }
}
