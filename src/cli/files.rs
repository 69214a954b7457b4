//! The data files below the paths of a command line: found, and told what each holds.
//!
//! A file is a submission, a resource, a registry list or an archive of such by its content, not by
//! its name. Files that systems leave in folders are passed over; an unreadable file is told, and the
//! rest is read.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::input::{decompressed, is_broken};
use super::{Failure, localized, reason};
use crate::fault::Severity;
use crate::json::{Event, Reader};
use crate::registry::{Form, List, recognize};

/// Bytes of a content that tell what it is.
const LOOK: u64 = 64 << 10;

/// Class of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// JSON documents: submissions or FHIR resources.
    Documents,
    /// The rows of a registry list.
    List(&'static List, Form),
}

/// A content: a whole file, or an entry of an archive.
#[derive(Debug)]
pub struct Item {
    /// The name in messages: `FILE`, or `ARCHIVE!ENTRY`.
    pub name: String,
    /// Its class.
    pub content: Content,
    entry: Option<usize>,
}

/// A file with the contents that are to be read.
#[derive(Debug)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes, as it lies on the disk.
    pub size: u64,
    /// Its contents.
    pub items: Vec<Item>,
}

/// Problem of a file as a whole.
#[derive(Debug)]
pub struct Problem {
    /// The file or entry.
    pub name: String,
    /// An error where it should have been read.
    pub severity: Severity,
    /// Message: the problem and its remedy.
    pub message: String,
}

/// All files below some paths.
#[derive(Debug, Default)]
pub struct Files {
    /// Those to be read.
    pub data: Vec<DataFile>,
    /// How many were passed over: files of the system, and of other programs.
    pub ignored: u64,
    /// Files that cannot be read, or are of another kind.
    pub problems: Vec<Problem>,
    /// The folders that were entered: a link may lead back to one.
    entered: HashSet<PathBuf>,
}

impl Files {
    /// Walks the paths; folders in the order of names.
    ///
    /// # Errors
    /// When a path is not there. Unreadable files below it stand in [`Files::problems`].
    pub fn find(paths: &[PathBuf]) -> Result<Files, Failure> {
        let mut files = Files::default();
        for path in paths {
            if path.as_os_str() != "-" && !path.exists() {
                return Err(Failure::path(path, &io::ErrorKind::NotFound.into()));
            }
        }
        for path in paths {
            files.walk(path, true);
        }
        Ok(files)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.data.iter().map(|file| file.size).sum()
    }

    fn walk(&mut self, path: &Path, named: bool) {
        if path.as_os_str() == "-" {
            return self.stream(path);
        }
        let file = match fs::metadata(path) {
            Ok(file) => file,
            Err(error) => return self.unreadable(path.display().to_string(), &error),
        };
        if file.is_dir() {
            return self.folder(path);
        }
        if !named
            && is_of_a_system(
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .as_ref(),
            )
        {
            self.ignored += 1;
        } else if !file.is_file() && named {
            self.stream(path);
        } else if !file.is_file() {
            let message = localized!(
                "not a regular file, and not read; name it on the command line to read from it",
                "通常のファイルではないため読み込みません。読み込むにはコマンドラインで指定してください"
            );
            self.ignored += 1;
            self.problem(path.display().to_string(), Severity::Warning, message);
        } else {
            self.file(path, file.len(), named);
        }
    }

    /// A pipe or device, which can be read only once.
    fn stream(&mut self, path: &Path) {
        self.data.push(DataFile {
            path: path.to_owned(),
            size: 0,
            items: vec![Item {
                name: path.display().to_string(),
                content: Content::Documents,
                entry: None,
            }],
        });
    }

    fn folder(&mut self, path: &Path) {
        let inside = path.canonicalize().and_then(|at| {
            if !self.entered.insert(at) {
                return Ok(Vec::new());
            }
            let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
            entries.collect::<io::Result<Vec<PathBuf>>>()
        });
        let mut inside = match inside {
            Ok(inside) => inside,
            Err(error) => return self.unreadable(path.display().to_string(), &error),
        };
        inside.sort();
        for path in inside {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && is_of_a_system(&name) {
                self.ignored += 1;
            } else {
                self.walk(&path, false);
            }
        }
    }

    fn file(&mut self, path: &Path, size: u64, named: bool) {
        let name = path.display().to_string();
        let (begin, whole) = match File::open(path).and_then(begin) {
            Ok(looked) => looked,
            Err(error) => return self.unreadable(name, &error),
        };
        let mut items = Vec::new();
        if begin.starts_with(b"PK\x03\x04") || begin.starts_with(b"PK\x05\x06") {
            // Spreadsheets and documents are archives too.
            if !named && is_office(path) {
                self.foreign(name);
                return;
            }
            self.archive(path, &name, &mut items);
        } else {
            items.extend(self.classified(name, None, path, &begin, whole, named));
        }
        if !items.is_empty() {
            let path = path.to_owned();
            self.data.push(DataFile { path, size, items });
        }
    }

    fn archive(&mut self, path: &Path, name: &str, items: &mut Vec<Item>) {
        let opened = File::open(path).map_err(ZipError::Io);
        let mut archive = match opened.and_then(ZipArchive::new) {
            Ok(archive) => archive,
            Err(error) => return self.broken_archive(name.to_owned(), error),
        };
        let mut broken = Vec::new();
        for entry in 0..archive.len() {
            let (inside, looked) = match archive.by_index(entry) {
                Ok(file) if file.is_dir() => continue,
                Ok(file) => {
                    let inside = file.name().map(|n| n.into_owned()).unwrap_or_default();
                    if inside.split('/').any(is_of_a_system) {
                        self.ignored += 1;
                        continue;
                    }
                    (inside, begin(file))
                }
                Err(error) => {
                    broken.push((entry, error));
                    continue;
                }
            };
            let name = format!("{name}!{inside}");
            match looked {
                Ok((begin, _)) if begin.starts_with(b"PK\x03\x04") => {
                    let message = localized!(
                        "an archive inside an archive is not read; unpack the outer one",
                        "アーカイブ内のアーカイブは読み込みません。外側のアーカイブを展開してください"
                    );
                    self.problem(name, Severity::Error, message);
                }
                Ok((begin, whole)) => {
                    let inside = Path::new(&inside);
                    items.extend(self.classified(name, Some(entry), inside, &begin, whole, false));
                }
                Err(error) => self.unreadable(name, &error),
            }
        }
        for (entry, error) in broken {
            let inside = archive.name_for_index(entry).and_then(Result::ok);
            let inside = inside.map_or(entry.to_string(), |name| name.into_owned());
            self.broken_archive(format!("{name}!{inside}"), error);
        }
    }

    /// The item of a content that begins like this.
    fn classified(
        &mut self,
        name: String,
        entry: Option<usize>,
        path: &Path,
        begin: &[u8],
        whole: bool,
        named: bool,
    ) -> Option<Item> {
        let content = match classify(path, begin, whole) {
            Ok(content) => content,
            Err(lists) if !lists.is_empty() => {
                let names: Vec<&str> = lists.iter().map(|list| list.name).collect();
                let (names, first) = (names.join(", "), names[0]);
                let message = localized!(
                    "its columns may be those of {names}; name the file after its list, such as {first}.csv",
                    "列名だけでは {names} のどれか分かりません。{first}.csv のように一覧の名前を付けてください"
                );
                self.problem(name, Severity::Error, message);
                return None;
            }
            // The reader tells what is wrong with it, and where.
            Err(_) if named || is_json(path) => Content::Documents,
            Err(_) if is_csv(path) => {
                let lists = List::ALL.map(|list| list.name).join(", ");
                let message = localized!(
                    "neither a submission nor a list: its first row has no column names of {lists}",
                    "提出データでも一覧でもありません。1 行目に {lists} の列名がありません"
                );
                self.problem(name, Severity::Error, message);
                return None;
            }
            Err(_) => {
                self.foreign(name);
                return None;
            }
        };
        Some(Item {
            name,
            content,
            entry,
        })
    }

    /// A file of another program.
    fn foreign(&mut self, name: String) {
        self.ignored += 1;
        let message = localized!(
            "passed over: neither JSON nor CSV; save a spreadsheet as CSV to load it",
            "JSON でも CSV でもないため読み込みません。表計算ファイルは CSV で保存してください"
        );
        self.problem(name, Severity::Warning, message);
    }

    fn unreadable(&mut self, name: String, error: &io::Error) {
        self.problem(name, Severity::Error, unreadable(error));
    }

    fn broken_archive(&mut self, name: String, error: ZipError) {
        self.problem(name, Severity::Error, broken_archive(error));
    }

    fn problem(&mut self, name: String, severity: Severity, message: String) {
        self.problems.push(Problem {
            name,
            severity,
            message,
        });
    }
}

impl DataFile {
    /// Gives the contents that are wanted to `take`, decompressed, one after the other: the content,
    /// or the reason why it cannot be opened. `take` says whether to go on.
    pub fn read(
        &self,
        wanted: impl Fn(&Item) -> bool,
        mut take: impl FnMut(&Item, io::Result<Box<dyn Read + '_>>) -> bool,
    ) {
        let mut archive = None;
        for item in self.items.iter().filter(|item| wanted(item)) {
            let go_on = match item.entry {
                None if self.path.as_os_str() == "-" => {
                    take(item, decompressed(io::stdin().lock()))
                }
                None => take(item, File::open(&self.path).and_then(decompressed)),
                Some(entry) => {
                    if archive.is_none() {
                        archive = self.archive();
                    }
                    match &mut archive {
                        Some(archive) => match archive.by_index(entry) {
                            Ok(file) => take(item, decompressed(file)),
                            Err(error) => take(item, Err(io::Error::other(error))),
                        },
                        None => take(item, Err(io::ErrorKind::UnexpectedEof.into())),
                    }
                }
            };
            if !go_on {
                return;
            }
        }
    }

    fn archive(&self) -> Option<ZipArchive<File>> {
        ZipArchive::new(File::open(&self.path).ok()?).ok()
    }
}

/// The beginning of a content, decompressed, and whether it is all of it. A compressed content that
/// breaks off ends there: its reader tells the place.
fn begin(content: impl Read) -> io::Result<(Vec<u8>, bool)> {
    let mut begin = Vec::new();
    let read = decompressed(content)?.take(LOOK).read_to_end(&mut begin);
    match read {
        Err(error) if !is_broken(&error) => return Err(error),
        _ => {}
    }
    let whole = read.is_ok() && (begin.len() as u64) < LOOK;
    Ok((begin, whole))
}

/// Class of a content, by its name where that is a list's, else by how it begins; the lists that it
/// may be where that is not clear.
fn classify(path: &Path, begin: &[u8], whole: bool) -> Result<Content, Vec<&'static List>> {
    let text = begin.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(begin);
    let first = text.trim_ascii_start().first();
    let json = matches!(first, Some(b'[' | b'{')) || first.is_none() && is_json(path);
    let form = if json && !is_csv(path) {
        Form::Json
    } else {
        Form::Csv
    };
    if let Some(list) = named_after(path)
        && first != Some(&b'{')
    {
        return Ok(Content::List(list, form));
    }
    let names = match first {
        Some(b'{') => return Ok(Content::Documents),
        Some(b'[') => members(text),
        _ if begin.contains(&0) => Vec::new(),
        _ => columns(text, whole),
    };
    match recognize(&names).as_slice() {
        [list] => Ok(Content::List(list, form)),
        [] if names.iter().any(|name| name == "person_information") => Ok(Content::Documents),
        several => Err(several.to_vec()),
    }
}

/// The names of the first row's cells.
fn columns(text: &[u8], whole: bool) -> Vec<String> {
    let end = text.iter().position(|b| matches!(b, b'\r' | b'\n'));
    let Some(end) = end.or(whole.then_some(text.len())) else {
        return Vec::new();
    };
    let cells = text[..end].split(|b| *b == b',');
    let name = |cell: &[u8]| {
        String::from_utf8_lossy(cell)
            .trim()
            .trim_matches('"')
            .to_owned()
    };
    cells.map(name).collect()
}

/// The names of the first object's members, as far as they are seen.
fn members(text: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut json = Reader::new(text);
    if !matches!(json.next(), Ok(Event::ArrayStart))
        || !matches!(json.next(), Ok(Event::ObjectStart))
    {
        return names;
    }
    while matches!(json.next(), Ok(Event::Key)) {
        names.push(json.text().to_owned());
        match json.next() {
            Ok(event) if json.skip(event).is_ok() => {}
            _ => break,
        }
    }
    names
}

/// The list that a file is named after: `participants.csv`, `participants.json.gz`.
fn named_after(path: &Path) -> Option<&'static List> {
    let name = path.file_name()?.to_str()?;
    let stem = name.split('.').next()?;
    List::by_name(&stem.to_ascii_lowercase())
}

fn ends_in(path: &Path, ends: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    ends.iter().any(|end| name.ends_with(end))
}

fn is_json(path: &Path) -> bool {
    ends_in(path, &[".json", ".ndjson", ".jsonl"])
}

fn is_csv(path: &Path) -> bool {
    ends_in(path, &[".csv"])
}

fn is_office(path: &Path) -> bool {
    ends_in(
        path,
        &[".xlsx", ".xlsm", ".docx", ".pptx", ".ods", ".odt", ".jar"],
    )
}

/// Whether a name is one that systems leave in folders and archives.
fn is_of_a_system(name: &str) -> bool {
    name.starts_with('.')
        || name.starts_with("~$")
        || ["__macosx", "thumbs.db", "desktop.ini"].contains(&name.to_ascii_lowercase().as_str())
}

/// Why a file cannot be read, and what to do.
pub fn unreadable(error: &io::Error) -> String {
    let why = reason(error);
    match error.kind() {
        io::ErrorKind::NotFound => localized!(
            "a link to a file that is not there; remove it or put the file in its place",
            "リンク先のファイルがありません。リンクを削除するか、ファイルを置いてください"
        ),
        _ if is_broken(error) => localized!(
            "the compressed data is broken; copy or create the file again",
            "圧縮データが壊れています。ファイルをもう一度コピーまたは作成してください"
        ),
        _ => localized!("cannot be read: {why}", "読み込めません: {why}"),
    }
}

fn broken_archive(error: ZipError) -> String {
    match error {
        ZipError::Io(error) => unreadable(&error),
        ZipError::UnsupportedArchive(text) if text.contains("assword") => localized!(
            "an encrypted entry; create the archive without a password",
            "暗号化されています。パスワードなしで作成してください"
        ),
        other => localized!(
            "a broken zip archive ({other}); copy or create it again",
            "壊れた zip アーカイブです（{other}）。もう一度コピーまたは作成してください"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_known_by_how_they_begin() {
        let class = |name: &str, text: &str| classify(Path::new(name), text.as_bytes(), true);
        let list = |name: &str, text: &str| match class(name, text) {
            Ok(Content::List(list, form)) => Some((list.name, form)),
            _ => None,
        };
        let people = "consortium_id,person_id,birth_year_month,sex_code\r\nA,P,1,1\r\n";
        for name in ["x.csv", "名簿.csv", "a.txt"] {
            assert_eq!(
                list(name, people),
                Some(("participants", Form::Csv)),
                "{name}"
            );
        }
        assert_eq!(
            list("x.csv", "\u{feff}\"consortium_id\",\"consortium_name\"\n"),
            Some(("consortia", Form::Csv))
        );
        assert_eq!(
            list(
                "x",
                r#" [{"measurement_method_code":"1","method_name":"a"}]"#
            ),
            Some(("hba1c-methods", Form::Json))
        );
        assert_eq!(list("devices.json", "[]"), Some(("devices", Form::Json)));
        assert_eq!(list("devices.csv", "wrong"), Some(("devices", Form::Csv)));
        let ambiguous = class("x.csv", "model_manufacturer_code,model_number\n").unwrap_err();
        assert_eq!(ambiguous.len(), 2);
        assert_eq!(class("x", r#"{"a":1}"#), Ok(Content::Documents));
        assert_eq!(
            class("x", r#"[{"consortium_id":"A","person_information":[]}]"#),
            Ok(Content::Documents)
        );
        for other in ["", "a,b\n1,2\n", "notes", "[]", "[1]", "\0\u{1}"] {
            assert_eq!(class("x", other), Err(Vec::new()), "{other:?}");
        }
    }
}
