//! Whose store it is: the company and the gateway of the agent that wrote it last. A start, and a command that reads a
//! store beside a configuration, compare the two, so that nobody is shown another gateway's alarms and journal for his
//! own, nor sends them to his own platform.
//!
//! What follows from it is theirs to say: a gateway may be given another id, and its alarms stay.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use super::journal::open_to_read;
use super::{StoreError, sql};

/// Who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    pub company: String,
    pub gateway: String,
}

/// From which version of the file on it says so.
const SINCE: i64 = 11;

/// Beside the agent or without one. `None`: no agent has said so yet.
fn whose(dir: &Path) -> Result<Option<Whose>, StoreError> {
    let connection = open_to_read(dir)?;
    let failed = || sql("read whose it is");
    let version: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed())?;
    if version < SINCE {
        return Ok(None);
    }
    let read = connection
        .query_row("SELECT company, gateway FROM meta", [], |row| {
            Ok(Whose { company: row.get(0)?, gateway: row.get(1)? })
        })
        .optional()
        .map_err(failed())?;
    Ok(read.filter(|whose| !whose.gateway.is_empty()))
}

/// The other gateway whose store it is. A store that is not there is nobody's, and one that cannot be read is told by
/// whoever opens it.
pub fn of_another(dir: &Path, company: &str, gateway: &str) -> Option<Whose> {
    let whose = whose(dir).ok().flatten();
    whose.filter(|whose| whose.company != company || whose.gateway != gateway)
}

/// As the entry of a start says.
pub(super) fn note(connection: &Connection, body: &Value) -> Result<(), StoreError> {
    let said = |name| body.get(name).and_then(Value::as_str);
    if let (Some(company), Some(gateway)) = (said("company"), said("gateway")) {
        connection
            .execute("UPDATE meta SET company = ?1, gateway = ?2", [company, gateway])
            .map_err(sql("note whose it is"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use riskgate_point::Wall;
    use serde_json::json;

    use super::super::{JournalEntry, Store};
    use super::*;

    #[tokio::test]
    async fn a_store_is_the_one_of_the_agent_that_started_on_it_last() {
        let folder = tempfile::tempdir().unwrap();
        assert!(whose(folder.path()).is_err(), "there is none");
        let (store, _) = Store::open(folder.path(), Wall(5)).unwrap();
        assert_eq!(whose(folder.path()).unwrap(), None);
        for gateway in ["54017000701", "54017000702"] {
            let body = json!({ "new": "a hash", "company": "540170007", "gateway": gateway });
            let entry =
                JournalEntry { at: Wall(5), by: "riskgate".to_owned(), what: "start".to_owned(), body };
            store.append(Vec::new(), vec![entry]).await.unwrap();
            let told = whose(folder.path()).unwrap().unwrap();
            assert_eq!((told.company.as_str(), told.gateway.as_str()), ("540170007", gateway));
        }
        store.close().unwrap();
    }
}
