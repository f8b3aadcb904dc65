//! As whom we log in at the broker. Name and password are read anew for each connection, as certificates are: a
//! login that was changed holds from the next one on.
//!
//! A disk that hangs or fails silences no alarm: then the login is what it was the last time, and the log says so.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::causes::chain;
use crate::config::{Credentials, Login, SecretError};

/// Two small files. A stop waits no longer for them, and neither does a hazard.
const READ_WITHIN: Duration = Duration::from_millis(500);

pub(super) struct Logins {
    login: Login,
    last: Option<Credentials>,
    /// At most one: a disk that hangs holds one thread, not one for each try.
    reading: Option<JoinHandle<Result<Credentials, SecretError>>>,
    /// Why the files could not be read, as it was told.
    told: Option<String>,
}

impl Logins {
    pub(super) fn new(login: Login) -> Self {
        Self { login, last: None, reading: None, told: None }
    }

    /// The login for the next connection.
    ///
    /// # Errors
    /// It cannot be read and never could: why.
    pub(super) async fn now(&mut self) -> Result<Credentials, String> {
        let why = match self.read().await {
            Ok(credentials) => {
                self.told = None;
                self.last = Some(credentials.clone());
                return Ok(credentials);
            }
            Err(why) => why,
        };
        let Some(last) = &self.last else { return Err(why) };
        if self.told.as_ref() != Some(&why) {
            tracing::warn!(
                why,
                "the login of the uplink cannot be read; it is tried with what it was before"
            );
            self.told = Some(why);
        }
        Ok(last.clone())
    }

    async fn read(&mut self) -> Result<Credentials, String> {
        if !self.login.has_files() {
            return self.login.read("[uplink]").map_err(|error| chain(&error));
        }
        let login = self.login.clone();
        let reading =
            self.reading.get_or_insert_with(|| tokio::task::spawn_blocking(move || login.read("[uplink]")));
        let Ok(read) = timeout(READ_WITHIN, reading).await else {
            let ms = READ_WITHIN.as_millis();
            return Err(format!(
                "the files of [uplink]'s login were not read within {ms} ms: the disk hangs"
            ));
        };
        self.reading = None;
        read.map_err(|panic| panic.to_string())?.map_err(|error| chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    const SITE: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[uplink]
host = "127.0.0.1"
port = 1
user_file = "user"
password_file = "password"
[[source]]
id = "dcs"
name = "DCS"
kind = "modbus-tcp"
host = "127.0.0.1"
port = 1
device_id = 1
"#;

    fn logins(dir: &Path) -> Logins {
        std::fs::write(dir.join("site.toml"), SITE).expect("written");
        let mut checked = config::check(dir).expect("it passes");
        checked.load_secrets(dir).expect("the files are there");
        Logins::new(checked.site.uplink.login)
    }

    fn write(dir: &Path, user: &str, password: &str) {
        std::fs::write(dir.join("user"), format!("{user}\n")).expect("written");
        std::fs::write(dir.join("password"), format!("{password}\n")).expect("written");
    }

    fn shown(read: Result<Credentials, String>) -> (String, String) {
        let Credentials { user, password } = read.expect("a login");
        (user.expect("a name"), password.expect("a password").reveal().to_owned())
    }

    #[tokio::test]
    async fn each_connection_has_the_login_of_its_moment_or_the_last_that_could_be_read() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        write(dir.path(), "gateway", "first");
        let mut logins = logins(dir.path());
        assert_eq!(shown(logins.now().await), pair("gateway", "first"));
        write(dir.path(), "gateway-2", "second");
        assert_eq!(shown(logins.now().await), pair("gateway-2", "second"));
        std::fs::remove_file(dir.path().join("password")).expect("removed");
        assert_eq!(shown(logins.now().await), pair("gateway-2", "second"));
        let mut never = Logins::new(logins.login.clone());
        let why = never.now().await.expect_err("there is no password");
        assert!(why.contains("password file") && why.contains("[uplink]"), "{why}");
    }
}
