//! What was last told of the link: each change once. It decides nothing; values and the watch tell it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use riskgate_point::{Link, Report, SourceId};

use crate::Clock;
use crate::intake::Sender;

pub(super) struct LinkTold {
    source: SourceId,
    out: Sender,
    clock: Clock,
    last: Mutex<Option<Link>>,
}

impl LinkTold {
    pub(super) fn new(source: SourceId, out: Sender, clock: Clock) -> Self {
        Self { source, out, clock, last: Mutex::default() }
    }

    pub(super) fn connecting(&self) {
        self.tell(Link::Connecting);
    }

    pub(super) fn up(&self) {
        self.tell(Link::Up);
    }

    /// True: that is news. The same reason is told once, however often it is met.
    pub(super) fn down(&self, why: String) -> bool {
        self.tell(Link::Down { why })
    }

    fn tell(&self, link: Link) -> bool {
        let mut last: MutexGuard<'_, Option<Link>> = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = last.as_ref() != Some(&link);
        if is_news {
            self.out.send(vec![Report::Link { source: self.source, link: link.clone(), at: (self.clock)() }]);
            *last = Some(link);
        }
        is_news
    }
}
