//! Which servers' certificates are trusted: a folder of them, and a folder of those that were refused.
//!
//! Trust is a person's act for one certificate, told by its thumbprint: `riskgate opcua trust`, or a file
//! put into `trusted/` under any name, DER or PEM; at its first use it is given its thumbprint for a name. A source may be told to trust the first certificate that
//! its server ever shows; a second one is refused there too. What is refused lies in `refused/` with a note
//! of where it came from, until a person trusts it. No host name is compared: behind NAT, or in a container,
//! the name in the certificate is not the one that works, and the thumbprint says more than any name.
//!
//! The folders are read at each try, so that what a person changes holds at the next one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use riskgate_point::Wall;
use serde_json::{Value, json};

use super::certificate::{Certificate, CertificateError, Thumbprint, date, plain};
use super::files::{self, FOR_ALL, FileError};
use super::own::{self, Identities, OwnError};

/// Where the packaged agent has its folder, which commands therefore need not name.
pub const USUAL_FOLDER: &str = "/var/lib/riskgate/pki";

const TRUSTED: &str = "trusted";
const REFUSED: &str = "refused";

/// A server that makes itself a new certificate at each start would fill the disk; a person who looks wants
/// the newest.
const REFUSED_MAX: usize = 50;

/// Far more than a site has servers; what is beyond is not looked at.
const FILES_MAX: usize = 1000;

/// A beginning shorter than this is more likely a slip than a thumbprint.
const PREFIX_MIN: usize = 4;

/// The certificate folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pki {
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Trusted,
    Refused,
}

impl Standing {
    fn folder(self) -> &'static str {
        match self {
            Self::Trusted => TRUSTED,
            Self::Refused => REFUSED,
        }
    }
}

/// A server's certificate that was seen, or put there.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    pub certificate: Certificate,
    pub standing: Standing,
    pub file: PathBuf,
    pub notes: Notes,
}

/// What is known of a certificate beside what it says itself. Kept as JSON beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// The source that met it last.
    pub source: Option<String>,
    /// Where it met it.
    pub url: Option<String>,
    /// When it was met, or judged by a person.
    pub at: Option<Wall>,
    /// Why it was refused.
    pub why: Option<String>,
    /// Servers that it was accepted of, and since when.
    pub servers: BTreeMap<String, Wall>,
    /// A person takes it though its times or its name are wrong.
    pub as_it_is: bool,
    /// A person has withdrawn the trust.
    pub distrusted: bool,
}

/// All that the folder holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    pub known: Vec<Known>,
    /// Files that are no certificates, or cannot be read, and why.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Why a person's act was not done.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "既不是文件也不是指纹 / {given} is neither a file nor a thumbprint: give at least {PREFIX_MIN} of its hexadecimal digits"
    )]
    NoThumbprint { given: String },
    #[error("没有这样开头的证书 / no certificate here begins with {given}; see `riskgate opcua list`")]
    None { given: String },
    #[error("不唯一，请多写几位 / {given} fits {n} certificates; give more of it")]
    Several { given: String, n: usize },
    #[error("不能信任 / {file} cannot be trusted: {cause}", file = .file.display())]
    Certificate { file: PathBuf, cause: CertificateError },
    #[error("证书有瑕疵 / {thumbprint} {fault}; to take it all the same, add --as-it-is")]
    Faulty { thumbprint: Thumbprint, fault: String },
    #[error("本来就未被信任 / {thumbprint} is not trusted anyway")]
    NotTrusted { thumbprint: Thumbprint },
}

/// A certificate as a server shows it.
pub(super) struct Shown<'a> {
    pub(super) certificate: &'a Certificate,
    pub(super) source: &'a str,
    pub(super) url: &'a str,
    /// Of which application the server says that it is.
    pub(super) application_uri: &'a str,
    /// The configuration takes the first one that this server shows.
    pub(super) first: bool,
}

/// Why a server's certificate is not accepted, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "尚未信任服务器证书，请先核对指纹 / riskgate does not trust the certificate of the server at {url} yet: {is}; compare its thumbprint with \
         the one that the server shows, then: {command}"
    )]
    Unknown { url: String, is: String, command: String },
    #[error(
        "服务器证书已更换，请先核对指纹 / the certificate of the server at {url} has changed, and riskgate does not trust the new one: it was \
         {was} and is {is}; if it was renewed on purpose, compare its thumbprint with the one that the server \
         shows, then: {command}"
    )]
    Changed { url: String, was: String, is: String, command: String },
    #[error(
        "服务器证书已被人工撤销信任 / riskgate was told to distrust the certificate of the server at {url}: {is}; to trust it again: {command}"
    )]
    Distrusted { url: String, is: String, command: String },
    #[error(
        "服务器证书有瑕疵 / riskgate refuses the certificate of the server at {url}: {thumbprint} {fault}; {remedy}, or take it as \
         it is: {command} --as-it-is"
    )]
    Faulty { url: String, thumbprint: Thumbprint, fault: String, remedy: &'static str, command: String },
}

impl Pki {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Our own certificates. `None`: the agent has not made any yet.
    pub fn own(&self) -> Result<Option<Identities>, OwnError> {
        own::look(&self.folder)
    }

    /// The trusted first, each part by subject.
    pub fn list(&self) -> Result<Listed, FileError> {
        let mut listed = Listed::default();
        for standing in [Standing::Trusted, Standing::Refused] {
            self.read(standing, &mut listed)?;
        }
        let order = |known: &Known| (known.standing, known.certificate.subject(), known.file.clone());
        listed.known.sort_by_key(order);
        Ok(listed)
    }

    /// The one that a thumbprint, or a beginning of one, names.
    pub fn find(&self, given: &str) -> Result<Known, TrustError> {
        let digits: String = given.chars().filter(|letter| !" :-".contains(*letter)).collect();
        let digits = digits.to_ascii_lowercase();
        if digits.len() < PREFIX_MIN || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(TrustError::NoThumbprint { given: given.to_owned() });
        }
        let mut fitting = self.list()?.known;
        fitting.retain(|known| known.certificate.thumbprint().as_str().starts_with(&digits));
        // A copy of one that is trusted is no second one.
        fitting.dedup_by(|one, other| one.certificate == other.certificate);
        match fitting.len() {
            1 => {}
            0 => return Err(TrustError::None { given: given.to_owned() }),
            n => return Err(TrustError::Several { given: given.to_owned(), n }),
        }
        fitting.pop().ok_or_else(|| TrustError::None { given: given.to_owned() })
    }

    /// Trusts one that was refused, or one from a file.
    pub fn trust(&self, given: &str, as_it_is: bool, now: Wall) -> Result<Known, TrustError> {
        let mut known = match files::read(Path::new(given)) {
            Ok(Some(bytes)) => {
                let file = PathBuf::from(given);
                let certificate = Certificate::parse(&bytes)
                    .map_err(|cause| TrustError::Certificate { file: file.clone(), cause })?;
                let listed = self.list()?.known;
                let seen = listed.into_iter().find(|known| known.certificate == certificate);
                seen.unwrap_or(Known {
                    certificate,
                    standing: Standing::Refused,
                    file,
                    notes: Notes::default(),
                })
            }
            Ok(None) | Err(_) => self.find(given)?,
        };
        if let (Some((fault, _)), false) = (fault_of_time(&known.certificate, now), as_it_is) {
            return Err(TrustError::Faulty { thumbprint: known.certificate.thumbprint().clone(), fault });
        }
        known.notes.at = Some(now);
        known.notes.why = None;
        known.notes.distrusted = false;
        known.notes.as_it_is |= as_it_is;
        self.put(&mut known, Standing::Trusted)?;
        Ok(known)
    }

    /// Withdraws the trust in one: a session that rests on it ends.
    pub fn distrust(&self, given: &str, now: Wall) -> Result<Known, TrustError> {
        let mut known = self.find(given)?;
        if known.standing == Standing::Refused {
            return Err(TrustError::NotTrusted { thumbprint: known.certificate.thumbprint().clone() });
        }
        known.notes.at = Some(now);
        known.notes.why = Some("a person distrusts it".to_owned());
        known.notes.distrusted = true;
        known.notes.as_it_is = false;
        self.put(&mut known, Standing::Refused)?;
        Ok(known)
    }

    /// Whether the server that shows this certificate may be spoken to. What is new is noted.
    pub(super) fn judge(&self, shown: &Shown<'_>, now: Wall) -> Result<Result<(), Refusal>, FileError> {
        let Shown { certificate, url, .. } = *shown;
        let listed = self.list()?.known;
        let same = |known: &&Known| known.certificate == *certificate;
        let mut known = listed.iter().find(same).cloned().unwrap_or_else(|| Known {
            certificate: certificate.clone(),
            standing: Standing::Refused,
            file: PathBuf::new(),
            notes: Notes::default(),
        });
        let fault = if known.notes.as_it_is { None } else { fault_of(shown, now) };
        let refusal = match (known.standing, fault) {
            (Standing::Trusted, None) => None,
            (_, Some((fault, remedy))) => Some(Refusal::Faulty {
                url: url.to_owned(),
                thumbprint: certificate.thumbprint().clone(),
                fault,
                remedy,
                command: self.command(certificate.thumbprint()),
            }),
            (Standing::Refused, None) => self.stranger(shown, &listed, &known),
        };
        let Some(refusal) = refusal else {
            let is_new_here = !known.notes.servers.contains_key(url);
            if known.standing == Standing::Refused {
                tracing::warn!(
                    url,
                    certificate = certificate.in_words(),
                    "the first certificate that this server shows is trusted, as the source says"
                );
            }
            if known.standing == Standing::Refused || is_new_here {
                self.met(&mut known, shown, now);
                known.notes.servers.insert(url.to_owned(), now);
                self.put(&mut known, Standing::Trusted)?;
            }
            return Ok(Ok(()));
        };
        if known.standing == Standing::Refused {
            let why = Some(refusal.to_string());
            // Once for each reason: a try each minute must not wear out the disk.
            if known.notes.why != why && !known.notes.distrusted {
                self.met(&mut known, shown, now);
                known.notes.why = why;
                self.put(&mut known, Standing::Refused)?;
                self.forget_oldest(REFUSED_MAX)?;
            }
        }
        Ok(Err(refusal))
    }

    /// `None`: it is the first that this server shows, and the source says to take that.
    fn stranger(&self, shown: &Shown<'_>, listed: &[Known], known: &Known) -> Option<Refusal> {
        let url = shown.url.to_owned();
        let is = shown.certificate.in_words();
        let command = self.command(shown.certificate.thumbprint());
        if known.notes.distrusted {
            return Some(Refusal::Distrusted { url, is, command });
        }
        let of_this_server = |known: &&Known| known.notes.servers.contains_key(shown.url);
        let before =
            listed.iter().filter(of_this_server).max_by_key(|known| known.notes.servers.get(shown.url));
        match before {
            Some(before) => {
                let was = before.certificate.in_words();
                Some(Refusal::Changed { url, was, is, command })
            }
            None if shown.first => None,
            None => Some(Refusal::Unknown { url, is, command }),
        }
    }

    fn met(&self, known: &mut Known, shown: &Shown<'_>, now: Wall) {
        known.notes.source = Some(shown.source.to_owned());
        known.notes.url = Some(shown.url.to_owned());
        known.notes.at = Some(now);
    }

    /// What to type so that it is trusted.
    fn command(&self, thumbprint: &Thumbprint) -> String {
        let folder = self.folder.display().to_string();
        if folder == USUAL_FOLDER {
            format!("riskgate opcua trust {thumbprint}")
        } else {
            format!("riskgate opcua trust {thumbprint} --pki '{folder}'")
        }
    }

    /// Something that changes when a person trusts or distrusts, or puts a certificate of our own there.
    pub(super) fn stamp(&self) -> Vec<Option<std::time::SystemTime>> {
        let changed =
            |name: &str| fs::metadata(self.folder.join(name)).and_then(|about| about.modified()).ok();
        // A file may be written over, which its folder does not show.
        let ours = ["own/cert.der", "own/cert.pem", "own/key.pem"];
        [TRUSTED, "own", "next"].iter().chain(&ours).map(|name| changed(name)).collect()
    }

    fn read(&self, standing: Standing, listed: &mut Listed) -> Result<(), FileError> {
        let folder = self.folder.join(standing.folder());
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(files::failed("reading the folder", &folder)(cause)),
        };
        for entry in entries.take(FILES_MAX) {
            let path = entry.map_err(files::failed("reading the folder", &folder))?.path();
            let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            let is_note = path.extension().is_some_and(|extension| extension == "json");
            if hidden || is_note || path.is_dir() {
                continue;
            }
            // One that cannot be read must not shut out all others.
            let read = match files::read(&path) {
                Ok(Some(bytes)) => Certificate::parse(&bytes).map_err(|cause| cause.to_string()),
                // Gone since: another process has moved it.
                Ok(None) => continue,
                Err(error) => Err(error.cause.to_string()),
            };
            match read {
                Ok(certificate) => {
                    let notes = self.notes(standing, certificate.thumbprint());
                    listed.known.push(Known { certificate, standing, file: path, notes });
                }
                Err(why) => listed.unreadable.push((path, why)),
            }
        }
        Ok(())
    }

    fn file(&self, standing: Standing, thumbprint: &Thumbprint, extension: &str) -> PathBuf {
        self.folder.join(standing.folder()).join(format!("{thumbprint}.{extension}"))
    }

    fn notes(&self, standing: Standing, thumbprint: &Thumbprint) -> Notes {
        let bytes = files::read(&self.file(standing, thumbprint, "json")).ok().flatten();
        Notes::parse(&bytes.unwrap_or_default())
    }

    /// Under its thumbprint, in this part of the folder and in no other. The notes go first: a certificate
    /// without them would be taken for one that a person has put there.
    fn put(&self, known: &mut Known, standing: Standing) -> Result<(), FileError> {
        let thumbprint = known.certificate.thumbprint().clone();
        files::make_folder(&self.folder.join(standing.folder()))?;
        files::write(&self.file(standing, &thumbprint, "json"), known.notes.text().as_bytes(), FOR_ALL)?;
        let file = self.file(standing, &thumbprint, "der");
        files::write(&file, known.certificate.der(), FOR_ALL)?;
        for other in self.list()?.known {
            let is_left_behind = other.certificate == known.certificate && other.file != file;
            if is_left_behind {
                fs::remove_file(&other.file).map_err(files::failed("removing", &other.file))?;
            }
            if is_left_behind && other.standing != standing {
                let _may_not_exist = fs::remove_file(self.file(other.standing, &thumbprint, "json"));
            }
        }
        known.standing = standing;
        known.file = file;
        Ok(())
    }

    /// What a person has distrusted is kept.
    fn forget_oldest(&self, max: usize) -> Result<(), FileError> {
        let mut refused = self.list()?.known;
        refused.retain(|known| known.standing == Standing::Refused && !known.notes.distrusted);
        refused.sort_by_key(|known| known.notes.at);
        for oldest in refused.iter().take(refused.len().saturating_sub(max)) {
            tracing::warn!(
                certificate = oldest.certificate.in_words(),
                "too many refused certificates: the oldest is forgotten"
            );
            fs::remove_file(&oldest.file).map_err(files::failed("removing", &oldest.file))?;
            let thumbprint = oldest.certificate.thumbprint();
            let _may_not_exist = fs::remove_file(self.file(Standing::Refused, thumbprint, "json"));
        }
        Ok(())
    }
}

/// What is wrong with the certificate itself, and what to do about it.
fn fault_of(shown: &Shown<'_>, now: Wall) -> Option<(String, &'static str)> {
    if let Some(fault) = fault_of_time(shown.certificate, now) {
        return Some(fault);
    }
    match shown.certificate.application_uri() {
        Some(uri) if uri == plain(shown.application_uri) => None,
        Some(uri) => Some((
            format!(
                "is of another application ({uri}) than the server says to be ({})",
                plain(shown.application_uri)
            ),
            "let the server have a certificate of its own",
        )),
        None => Some((
            format!("names no application, and the server says to be {}", plain(shown.application_uri)),
            "let the server have a certificate with its application URI",
        )),
    }
}

/// By a clock that cannot be right nothing is too early or too late.
fn fault_of_time(certificate: &Certificate, now: Wall) -> Option<(String, &'static str)> {
    let (begin, end) = certificate.validity();
    if !own::is_plausible(now) {
        None
    } else if now > end {
        Some((
            format!("has ended on {}", date(end)),
            "renew it at the server, and see that the gateway's clock is right",
        ))
    } else if now < begin {
        let fault = format!("is valid from {} only, and the gateway's clock says {}", date(begin), date(now));
        Some((fault, "see that both clocks are right"))
    } else {
        None
    }
}

impl Notes {
    /// What is not there, or is damaged, is not known.
    fn parse(bytes: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let flag = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or(false);
        let wall = |text: &str| Some(Wall(text.parse::<Timestamp>().ok()?.as_millisecond()));
        let servers = value.get("servers").and_then(Value::as_object).into_iter().flatten();
        Self {
            source: text("source"),
            url: text("url"),
            at: text("at").as_deref().and_then(wall),
            why: text("why"),
            servers: servers.filter_map(|(url, since)| Some((url.clone(), wall(since.as_str()?)?))).collect(),
            as_it_is: flag("as_it_is"),
            distrusted: flag("distrusted"),
        }
    }

    fn text(&self) -> String {
        let text =
            |at: Wall| Timestamp::from_millisecond(at.0).map(|time| time.to_string()).unwrap_or_default();
        let servers: BTreeMap<&String, String> =
            self.servers.iter().map(|(url, since)| (url, text(*since))).collect();
        let value = json!({
            "source": self.source,
            "url": self.url,
            "at": self.at.map(text),
            "why": self.why,
            "servers": servers,
            "as_it_is": self.as_it_is,
            "distrusted": self.distrusted,
        });
        format!("{value:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::{Wish, make};
    use super::*;

    const NOW: Wall = Wall(1_795_000_000_000);
    const URL: &str = "opc.tcp://plant:4840";
    const DAY_MS: i64 = 86_400_000;

    struct Folder(Pki);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("riskgate-trust-{}-{name}", std::process::id()));
            let _left_from_before = fs::remove_dir_all(&path);
            Self(Pki::new(path))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0.folder);
        }
    }

    fn certificate() -> Certificate {
        let wish = Wish {
            common_name: "Plant".to_owned(),
            organization: "DCS".to_owned(),
            uri: "urn:plant".to_owned(),
            hosts: Vec::new(),
            begin: Wall(NOW.0 - DAY_MS),
            end: Wall(NOW.0 + DAY_MS),
        };
        Certificate::parse(&make(&wish).unwrap().certificate).unwrap()
    }

    fn shown(certificate: &Certificate, first: bool) -> Shown<'_> {
        Shown { certificate, source: "sis", url: URL, application_uri: "urn:plant", first }
    }

    fn judged(folder: &Folder, certificate: &Certificate, first: bool, now: Wall) -> Option<Refusal> {
        folder.0.judge(&shown(certificate, first), now).unwrap().err()
    }

    #[test]
    fn a_file_put_there_under_any_name_is_trusted_and_gets_its_thumbprint_for_a_name() {
        let folder = Folder::new("any");
        let certificate = certificate();
        files::make_folder(&folder.0.folder.join(TRUSTED)).unwrap();
        let pem = x509_cert::der::pem::encode_string(
            "CERTIFICATE",
            x509_cert::der::pem::LineEnding::LF,
            certificate.der(),
        );
        let with_words = format!("subject=/CN=Plant\n{}", pem.unwrap());
        fs::write(folder.0.folder.join("trusted/from the vendor.crt"), with_words).unwrap();
        fs::write(folder.0.folder.join("trusted/README.txt"), "certificates of our servers").unwrap();
        assert_eq!(judged(&folder, &certificate, false, NOW), None);
        let listed = folder.0.list().unwrap();
        let names: Vec<_> = listed.known.iter().map(|known| known.file.file_name().unwrap()).collect();
        assert_eq!(names, [format!("{}.der", certificate.thumbprint()).as_str()]);
        assert_eq!(listed.known[0].notes.servers.keys().collect::<Vec<_>>(), [URL]);
        assert_eq!(listed.unreadable.len(), 1, "{:?}", listed.unreadable);
    }

    #[test]
    fn the_first_is_taken_at_sight_where_the_source_says_so_and_never_a_second_nor_a_distrusted_one() {
        let folder = Folder::new("first");
        let (first, second) = (certificate(), certificate());
        assert!(matches!(judged(&folder, &first, false, NOW), Some(Refusal::Unknown { .. })));
        assert_eq!(judged(&folder, &first, true, NOW), None, "also if it was refused before");
        assert!(matches!(judged(&folder, &second, true, NOW), Some(Refusal::Changed { .. })));
        folder.0.distrust(first.thumbprint().as_str(), NOW).unwrap();
        assert!(matches!(judged(&folder, &first, true, NOW), Some(Refusal::Distrusted { .. })));
        let second_try = judged(&folder, &second, true, NOW);
        assert!(matches!(second_try, Some(Refusal::Changed { .. })), "the first sight is over");
        folder.0.trust(second.thumbprint().as_str(), false, NOW).unwrap();
        assert_eq!(judged(&folder, &second, true, NOW), None);
    }

    #[test]
    fn a_certificate_ends_also_where_it_is_trusted_unless_it_is_taken_as_it_is() {
        let folder = Folder::new("ends");
        let certificate = certificate();
        folder.0.trust(&certificate_file(&folder, &certificate), false, NOW).unwrap();
        assert_eq!(judged(&folder, &certificate, false, NOW), None);
        let later = Wall(NOW.0 + 2 * DAY_MS);
        assert!(matches!(judged(&folder, &certificate, false, later), Some(Refusal::Faulty { .. })));
        assert_eq!(judged(&folder, &certificate, false, Wall(0)), None, "a clock in 1970 judges no times");
        let thumbprint = certificate.thumbprint().as_str();
        assert!(matches!(folder.0.trust(thumbprint, false, later), Err(TrustError::Faulty { .. })));
        folder.0.trust(thumbprint, true, later).unwrap();
        assert_eq!(judged(&folder, &certificate, false, later), None);
    }

    fn certificate_file(folder: &Folder, certificate: &Certificate) -> String {
        files::make_folder(&folder.0.folder).unwrap();
        let file = folder.0.folder.join("brought.der");
        fs::write(&file, certificate.der()).unwrap();
        file.display().to_string()
    }

    #[test]
    fn a_refusal_is_written_once_for_as_long_as_it_is_the_same() {
        let folder = Folder::new("once");
        let certificate = certificate();
        assert!(judged(&folder, &certificate, false, NOW).is_some());
        let file = folder.0.file(Standing::Refused, certificate.thumbprint(), "json");
        let first = fs::read(&file).unwrap();
        assert!(judged(&folder, &certificate, false, Wall(NOW.0 + 60_000)).is_some());
        assert_eq!(fs::read(&file).unwrap(), first, "a try each minute must not wear out the disk");
    }

    #[test]
    fn the_oldest_refused_are_forgotten_but_never_what_a_person_has_distrusted() {
        let folder = Folder::new("many");
        let all: Vec<Certificate> = std::iter::repeat_with(certificate).take(4).collect();
        for (certificate, after) in all.iter().zip(0..) {
            assert!(judged(&folder, certificate, false, Wall(NOW.0 + after)).is_some());
        }
        let oldest = all[0].thumbprint().as_str();
        folder.0.trust(oldest, false, Wall(NOW.0 - 1)).unwrap();
        folder.0.distrust(oldest, Wall(NOW.0 - 1)).unwrap();
        folder.0.forget_oldest(2).unwrap();
        let left = folder.0.list().unwrap().known;
        let is_left = |certificate: &Certificate| left.iter().any(|known| known.certificate == *certificate);
        assert_eq!(all.iter().map(is_left).collect::<Vec<_>>(), [true, false, true, true]);
        assert_eq!(fs::read_dir(folder.0.folder.join(REFUSED)).unwrap().count(), 6, "with their notes");
    }

    #[test]
    fn a_thumbprint_is_found_as_people_write_it() {
        let folder = Folder::new("written");
        let certificate = certificate();
        let _refused = judged(&folder, &certificate, false, NOW);
        let whole = certificate.thumbprint().as_str().to_owned();
        let spaced: Vec<String> = whole
            .to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|two| String::from_utf8_lossy(two).into_owned())
            .collect();
        for given in [
            whole.clone(),
            whole.to_uppercase(),
            spaced.join(":"),
            spaced.join(" "),
            whole.chars().take(4).collect(),
        ] {
            assert_eq!(folder.0.find(&given).unwrap().certificate, certificate, "{given}");
        }
        assert!(matches!(folder.0.find("abc"), Err(TrustError::NoThumbprint { .. })));
        assert!(matches!(folder.0.find("server.der"), Err(TrustError::NoThumbprint { .. })));
        assert!(matches!(folder.0.find("0000000000"), Err(TrustError::None { .. })));
    }

    #[test]
    fn notes_are_read_as_they_were_written_and_damaged_ones_are_none() {
        let notes = Notes {
            source: Some("sis".to_owned()),
            url: Some(URL.to_owned()),
            at: Some(NOW),
            why: Some("罐区".to_owned()),
            servers: [(URL.to_owned(), NOW)].into(),
            as_it_is: true,
            distrusted: true,
        };
        assert_eq!(Notes::parse(notes.text().as_bytes()), notes);
        for damaged in [&b""[..], b"{", b"[]", b"{\"servers\": 3, \"at\": \"yesterday\"}"] {
            assert_eq!(Notes::parse(damaged), Notes::default());
        }
    }
}
