//! 排查任务完成率, 隐患整改率, 风险分析完成率 and the quality of the alarms as upstream reads them, each with what it was
//! computed from. Pure.

use riskgate_engine::{IndicatorRecord, WeekIndicators};
use serde_json::{Value, json};

use super::Origin;
use crate::store::{Lane, Message};

pub(super) fn indicator_message(of: &IndicatorRecord, origin: &Origin) -> Message {
    let analysis = &of.analysis;
    let data = json!({
        "id": origin.gateway,
        "revision": of.revision,
        "companyCode": origin.company,
        "week": week(&of.week, origin),
        "lastWeek": of.last.as_ref().map(|last| week(last, origin)),
        "rateAnalysis": analysis.rate(),
        "analysis": {
            "objects": analysis.objects,
            "complete": analysis.complete,
            "lacking": analysis.lacking,
        },
        "alarmQuality": of.quality,
        "changed": origin.time(of.changed),
    });
    Message {
        lane: Lane::Work,
        topic: "indicator".to_owned(),
        retain: true,
        kind: "riskgate.indicator.v1".to_owned(),
        object: origin.gateway.clone(),
        revision: of.revision,
        time: of.changed,
        data,
    }
}

fn week(of: &WeekIndicators, origin: &Origin) -> Value {
    let (tasks, hazards) = (&of.tasks, &of.hazards);
    json!({
        "start": origin.time(of.period.start),
        "end": origin.time(of.period.end),
        "coveredSeconds": of.covered_s,
        "rateCheck": tasks.rate(),
        "tasks": {
            "due": tasks.due,
            "done": tasks.done,
            "suspended": tasks.suspended,
            "unknown": tasks.unknown,
            "missed": tasks.missed,
        },
        "rateDanger": hazards.rate(),
        "hazards": { "due": hazards.due, "accepted": hazards.accepted, "open": hazards.open },
    })
}
