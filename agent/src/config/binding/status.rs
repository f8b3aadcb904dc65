//! The status register beside a value: where it is, and what its states mean.

use std::sync::Arc;

use riskgate_drivers::modbus::status::StatusMap;

use super::super::headers::Column;
use super::super::row::Line;
use super::super::sources::{Kind, Source};
use super::super::status_map;

const MAP_HINT: &str = "write 0=normal;1=alarm_1;2=fault in the column status_map 状态映射, or in the source";

/// The map of the row, or else that of its source.
pub(super) fn map(line: &Line<'_>, of_source: Option<&Arc<StatusMap>>) -> Option<Arc<StatusMap>> {
    let Some(cell) = line.said(Column::StatusMap) else { return of_source.cloned() };
    let (map, faults) = status_map::parse(&cell.value);
    for wrong in faults {
        line.error(
            Column::StatusMap,
            format!("{}: {}", Column::StatusMap.label(), wrong.message),
            wrong.hint,
        );
    }
    map.map(Arc::new)
}

/// Of a point that is a status itself: it cannot be read without a map.
pub(super) fn of_source(line: &Line<'_>, source: Option<&Source>) -> Option<Arc<StatusMap>> {
    let habits = match source.map(|source| &source.kind) {
        Some(Kind::Modbus { habits, .. }) => habits,
        // What a status is elsewhere is refused where it is bound.
        Some(Kind::Opcua(_) | Kind::Mqtt { .. } | Kind::Unknown) | None => return None,
    };
    let map = map(line, habits.status_map.as_ref());
    if map.is_none() && line.said(Column::StatusMap).is_none() {
        missing(line, Column::Type);
    }
    map
}

/// A status without a map says nothing.
pub(super) fn missing(line: &Line<'_>, column: Column) {
    line.error(column, "nothing says what the states of this status mean", MAP_HINT.to_owned());
}
