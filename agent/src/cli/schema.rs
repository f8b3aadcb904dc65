//! `riskgate schema`: the shapes of all messages upstream, listed or written to a folder.

use std::path::Path;

use super::{Outcome, Screen};
use crate::uplink::schema::files;

pub(super) fn tell(dir: Option<&Path>, screen: &mut Screen) -> Outcome {
    for (name, text) in files() {
        let Some(dir) = dir else {
            screen.say(&name);
            continue;
        };
        let path = dir.join(name);
        let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, text));
        if let Err(error) = written {
            let hint = "下一步 Next: another --dir, or its rights";
            screen.problem(&format!("写不进去 cannot write {}: {error}\n{hint}", path.display()));
            return Outcome::Refused;
        }
        screen.say(&path.display().to_string());
    }
    Outcome::Done
}
