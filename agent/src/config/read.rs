//! Files into text: which files of a folder belong to the configuration, and in what encoding they are.
//!
//! Excel saves a CSV as UTF-8 with a byte order mark or, on a Chinese system, as GB18030 (its "ANSI");
//! editors save UTF-8 without a mark. What is valid UTF-8 is read as that: by chance a text of GB18030 with
//! more than a few Chinese characters is not. This is the only part of the room that touches a disk, and it
//! reads nothing outside the folder it is given.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Problems};

/// A file name relative to the folder, and its bytes.
pub type RawFile = (PathBuf, Vec<u8>);

/// A point table of 10,000 points is 2 MB; what is beyond this is no configuration.
pub(super) const FILE_BYTES_MAX: u64 = 32 << 20;
/// Folders within folders. Deeper is a loop of links or a mistake.
const DEPTH_MAX: usize = 8;

/// What a file of the folder is, by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Toml,
    Csv,
    Xlsx,
}

impl Form {
    pub(super) fn of(name: &Path) -> Option<Self> {
        let hidden = |name: &OsStr| name.to_string_lossy().starts_with(['.', '~']);
        if name.file_name().is_some_and(hidden) {
            // Excel's lock files are `~$points.xlsx`, editors' are hidden.
            return None;
        }
        let extension = name.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "toml" => Some(Self::Toml),
            "csv" => Some(Self::Csv),
            "xlsx" => Some(Self::Xlsx),
            _ => None,
        }
    }
}

/// Every configuration file below the folder, sorted by name; names are relative to the folder.
pub(super) fn folder(folder: &Path) -> Result<Vec<RawFile>, Problems> {
    let mut reading = Reading { root: folder, files: Vec::new(), problems: Vec::new(), too_deep: false };
    reading.folder(Path::new(""), 0);
    let Reading { root: _, mut files, problems, too_deep: _ } = reading;
    if !problems.is_empty() {
        return Err(Problems { diagnostics: problems, left_out: 0, files: None });
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

struct Reading<'a> {
    root: &'a Path,
    files: Vec<RawFile>,
    problems: Vec<Diagnostic>,
    too_deep: bool,
}

impl Reading<'_> {
    fn problem(&mut self, name: &Path, doing: &str, cause: &io::Error) {
        let is_file = cause.kind() == io::ErrorKind::NotADirectory;
        let hint = is_file
            .then(|| "写配置文件所在的文件夹 name the folder that the configuration files are in".to_owned());
        self.problems.push(Diagnostic::of_file(self.shown(name), format!("{doing}: {cause}"), hint));
    }

    fn shown(&self, name: &Path) -> PathBuf {
        if name.as_os_str().is_empty() { self.root.to_owned() } else { self.root.join(name) }
    }

    fn folder(&mut self, below: &Path, depth: usize) {
        if depth > DEPTH_MAX {
            // Told once: of a wrong folder, such as /, there would be thousands.
            if !std::mem::replace(&mut self.too_deep, true) {
                let message = format!("文件夹层数超过{DEPTH_MAX} folders lie deeper than {DEPTH_MAX} here");
                let hint = "写只有配置的文件夹 name the folder that holds only the configuration".to_owned();
                self.problems.push(Diagnostic::of_file(self.shown(below), message, Some(hint)));
            }
            return;
        }
        let entries = match fs::read_dir(self.root.join(below)) {
            Ok(entries) => entries,
            Err(cause) => return self.problem(below, "未能读取文件夹 reading the folder", &cause),
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&below.join(entry.file_name()), depth),
                Err(cause) => self.problem(below, "未能读取文件夹 reading the folder", &cause),
            }
        }
    }

    fn entry(&mut self, name: &Path, depth: usize) {
        let path = self.root.join(name);
        let hidden = name.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            return;
        }
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() => self.folder(name, depth + 1),
            Ok(_) if Form::of(name).is_none() => {}
            Ok(about) if about.len() > FILE_BYTES_MAX => {
                let message =
                    format!("文件过大 the file has {} bytes, {FILE_BYTES_MAX} are allowed", about.len());
                self.problems.push(Diagnostic::of_file(path, message, None));
            }
            Ok(_) => match fs::read(&path) {
                Ok(bytes) => self.files.push((name.to_owned(), bytes)),
                Err(cause) => self.problem(name, "未能读取文件 reading the file", &cause),
            },
            Err(cause) if Form::of(name).is_some() => {
                self.problem(name, "未能读取文件 reading the file", &cause)
            }
            // A dangling link to something that is not ours.
            Err(_) => {}
        }
    }
}

/// The text of a file, in UTF-8. `Err` says why it is none.
pub(super) fn text(bytes: &[u8], form: Form) -> Result<String, &'static str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("请另存为 UTF-8 the file is in UTF-16; save it as UTF-8");
    }
    match (std::str::from_utf8(bytes), form) {
        (Ok(text), _) if text.contains('\0') => Err("不是文本文件 the file holds zero bytes: it is no text"),
        (Ok(text), _) => Ok(text.to_owned()),
        // TOML is UTF-8 by its own definition.
        (Err(_), Form::Toml) => Err("请另存为 UTF-8 the file is not UTF-8; save it as UTF-8"),
        (Err(_), Form::Csv | Form::Xlsx) => {
            let text = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes);
            match text {
                Some(text) if !text.contains('\0') => Ok(text.into_owned()),
                Some(_) | None => {
                    Err("请另存为“CSV UTF-8” the file is neither UTF-8 nor GB18030; save it as CSV UTF-8")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_dropped_and_gb18030_is_recognised() {
        let plain = "位号,名称\n";
        let (gb18030, _, _) = encoding_rs::GB18030.encode(plain);
        let marked = [b"\xef\xbb\xbf", plain.as_bytes()].concat();
        for bytes in [plain.as_bytes(), &gb18030, &marked] {
            assert_eq!(text(bytes, Form::Csv).as_deref(), Ok(plain));
        }
        assert!(text(&gb18030, Form::Toml).is_err());
    }

    #[test]
    fn locks_of_excel_and_hidden_files_are_left_alone() {
        let form = |name: &str| Form::of(Path::new(name));
        assert_eq!(form("points/A.CSV"), Some(Form::Csv));
        for name in ["~$points.xlsx", ".site.toml.swp", ".hidden.toml", "README.md"] {
            assert_eq!(form(name), None, "{name}");
        }
    }
}
