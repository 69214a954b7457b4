//! Outputs of the commands: stdout, one file, or a file for each input in a folder.
//!
//! A file is written as a draft beside it and takes its place when it is whole, with mode,
//! owner and links of what stood there. Pipes and devices are written into.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::interrupt;
use super::{Failure, localized};

/// Where documents go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To stdout, one after the other.
    Stdout,
    /// To one file, one after the other.
    File(PathBuf),
    /// To one file for each input, named after it.
    Folder(PathBuf),
}

impl Target {
    /// What `-o` says: a folder when one stands there or the name ends in `/`.
    pub fn new(output: Option<&Path>) -> Target {
        match output {
            None => Target::Stdout,
            Some(path) if path.as_os_str() == "-" => Target::Stdout,
            Some(path) if ends_in_slash(path) || path.is_dir() => Target::Folder(path.to_owned()),
            Some(path) => Target::File(path.to_owned()),
        }
    }

    /// Checks that in a folder no two inputs would give one file.
    ///
    /// # Errors
    /// When two would.
    pub fn check(&self, inputs: &[PathBuf]) -> Result<(), Failure> {
        let mut from: HashMap<String, &Path> = HashMap::new();
        for input in inputs {
            if let Some(other) = from.insert(stem(input), input) {
                let (other, input, name) = (other.display(), input.display(), stem(input));
                return Err(Failure::usage(localized!(
                    "{other} and {input} would both give {name}; convert them into different folders",
                    "{other} と {input} は同じ出力名 {name} になります。別々のフォルダーに変換してください"
                )));
            }
        }
        Ok(())
    }

    /// The file for an input, in a folder.
    ///
    /// # Errors
    /// When it would replace its input.
    pub fn file(&self, input: &Path, extension: &str) -> Result<PathBuf, Failure> {
        let file = match self {
            Target::Folder(folder) => folder.join(format!("{}.{extension}", stem(input))),
            Target::File(path) => path.clone(),
            Target::Stdout => PathBuf::from("-"),
        };
        if is_same(&file, input) {
            let file = file.display();
            return Err(Failure::usage(localized!(
                "{file}: the output would replace its input; name another folder with -o",
                "{file}: 出力が入力ファイルを上書きします。-o で別のフォルダーを指定してください"
            )));
        }
        Ok(file)
    }
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str()
        .to_string_lossy()
        .ends_with(std::path::is_separator)
}

fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// The name of an input without what tells its form: `a` of `a.json.gz`, `stdin` of stdin.
fn stem(input: &Path) -> String {
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    if name == "-" {
        return "stdin".to_owned();
    }
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    [".json", ".ndjson", ".jsonl"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
        .to_owned()
}

/// Readers of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Its owner: it holds personal data.
    Personal,
    /// Those whom the umask lets.
    Public,
}

/// An output. A regular file becomes visible only when it is whole, by [`Sink::finish`]; one
/// to which nothing was written never appears, and leaves what stood there.
pub struct Sink {
    to: Destination,
    out: Option<BufWriter<Out>>,
}

/// Where an output goes, links followed.
enum Destination {
    Stdout,
    Stderr,
    /// A pipe or device, or a file that another program opened.
    Special {
        path: PathBuf,
        append: bool,
    },
    /// A regular file, or none yet.
    File {
        path: PathBuf,
        former: Option<Metadata>,
        privacy: Privacy,
    },
}

/// Writer of an output.
enum Out {
    Stdout(io::Stdout),
    Stderr(io::Stderr),
    Special(File),
    Draft(Box<Draft>),
}

/// The most links that are followed.
const LINKS_MAX: usize = 40;

impl Sink {
    /// Stdout.
    pub fn stdout() -> Sink {
        Sink {
            to: Destination::Stdout,
            out: None,
        }
    }

    /// A file, in a folder that is made where it is missing.
    ///
    /// # Errors
    /// When a folder stands there, or what stands there may not be written.
    pub fn file(path: &Path, privacy: Privacy) -> Result<Sink, Failure> {
        let to = Destination::of(path, privacy).map_err(|e| Failure::path(path, &e))?;
        Ok(Sink { to, out: None })
    }

    /// Makes the output visible.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(), Failure> {
        // A reader of a pipe waits for its end, also where nothing is written.
        if self.out.is_none() && matches!(self.to, Destination::Special { .. }) {
            let opened = self.open().map(drop);
            opened.map_err(|e| self.failure(&e))?;
        }
        let Some(mut out) = self.out.take() else {
            return Ok(());
        };
        let done = out.flush().and_then(|()| match out.into_inner() {
            Ok(Out::Draft(draft)) => draft.install(),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into_error()),
        });
        done.map_err(|e| self.failure(&e))
    }

    /// What an error of writing to it means.
    pub fn failure(&self, error: &io::Error) -> Failure {
        match &self.to {
            Destination::File { path, .. } => Failure::path(path, error),
            Destination::Special { path, .. } if error.kind() != io::ErrorKind::BrokenPipe => {
                Failure::path(path, error)
            }
            _ => Failure::stream(error),
        }
    }

    fn open(&mut self) -> io::Result<&mut BufWriter<Out>> {
        let out = match &self.to {
            Destination::Stdout => Out::Stdout(io::stdout()),
            Destination::Stderr => Out::Stderr(io::stderr()),
            Destination::Special { path, append } => {
                Out::Special(OpenOptions::new().write(true).append(*append).open(path)?)
            }
            Destination::File {
                path,
                former,
                privacy,
            } => Out::Draft(Box::new(Draft::new(path, former.clone(), *privacy)?)),
        };
        Ok(self.out.insert(BufWriter::with_capacity(64 << 10, out)))
    }
}

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Some(out) => out.write(buf),
            None => self.open()?.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Write for Out {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Out::Stdout(out) => out.write(buf),
            Out::Stderr(out) => out.write(buf),
            Out::Special(file) => file.write(buf),
            Out::Draft(draft) => draft.file.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Stdout(out) => out.flush(),
            Out::Stderr(out) => out.flush(),
            Out::Special(file) => file.flush(),
            Out::Draft(draft) => draft.file.flush(),
        }
    }
}

impl Destination {
    fn of(path: &Path, privacy: Privacy) -> io::Result<Destination> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            let Some(name) = path.file_name().map(ToOwned::to_owned) else {
                return Err(io::ErrorKind::IsADirectory.into());
            };
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            let folder = match parent.canonicalize() {
                Ok(folder) => folder,
                // It is made when something is written.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return Ok(Destination::File {
                        path,
                        former: None,
                        privacy,
                    });
                }
                Err(e) => return Err(e),
            };
            let at = folder.join(&name);
            if is_descriptors(&folder) {
                return Ok(match name.to_str() {
                    Some("1") => Destination::Stdout,
                    Some("2") => Destination::Stderr,
                    _ => Destination::Special {
                        path: at,
                        append: true,
                    },
                });
            }
            let former = match fs::symlink_metadata(&at) {
                Ok(found) => Some(found),
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(e),
            };
            match &former {
                Some(found) if found.is_symlink() => path = folder.join(fs::read_link(&at)?),
                Some(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
                Some(found) if !found.is_file() => {
                    return Ok(Destination::Special {
                        path: at,
                        append: false,
                    });
                }
                _ => {
                    if former.is_some() {
                        // A file that may not be written is not replaced either.
                        OpenOptions::new().write(true).open(&at)?;
                    }
                    return Ok(Destination::File {
                        path: at,
                        former,
                        privacy,
                    });
                }
            }
        }
        Err(io::Error::other("too many symbolic links"))
    }
}

/// Whether the names in a folder are descriptors of this process, as `/dev/stdout` is a link
/// to one.
fn is_descriptors(folder: &Path) -> bool {
    folder == Path::new("/dev/fd")
        || folder
            == Path::new("/proc")
                .join(std::process::id().to_string())
                .join("fd")
}

/// A file under another name until it is whole. Unless it is installed nothing of it stays.
struct Draft {
    file: NamedTempFile,
    target: PathBuf,
    former: Option<Metadata>,
}

impl Draft {
    fn new(target: &Path, former: Option<Metadata>, privacy: Privacy) -> io::Result<Draft> {
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".kenko-fhir-").suffix(".part");
        #[cfg(unix)]
        if former.is_none() && privacy == Privacy::Public {
            // As any file: the umask takes away what others may not.
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        }
        let mut state = interrupt::state();
        let file = match builder.tempfile_in(folder) {
            // A file may be writable where its folder is not.
            Err(e)
                if former.is_some()
                    && matches!(
                        e.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    ) =>
            {
                builder.tempfile()?
            }
            made => made?,
        };
        state.drafts.insert(file.path().to_owned());
        drop(state);
        Ok(Draft {
            file,
            target: target.to_owned(),
            former,
        })
    }

    /// Puts the draft in place of what stands there.
    fn install(mut self) -> io::Result<()> {
        // No signal ends the program between the two.
        let mut state = interrupt::state();
        let path = self.file.path().to_owned();
        let beside = path.parent() == self.target.parent();
        let installed = match &self.former {
            None => fs::rename(&path, &self.target),
            Some(former) if beside && !has_further_names(former) => {
                keep_owner_and_mode(self.file.as_file(), former)?;
                match fs::rename(&path, &self.target) {
                    // A file that is mounted by itself cannot be renamed over.
                    Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
                        overwrite(self.file.as_file_mut(), &self.target)
                    }
                    done => done,
                }
            }
            Some(_) => overwrite(self.file.as_file_mut(), &self.target),
        };
        state.drafts.remove(&path);
        installed
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        interrupt::state().drafts.remove(self.file.path());
    }
}

/// Writes a draft over what stands in a file. The part beyond the former length comes first,
/// so that a disk that is full is noticed before anything is lost.
fn overwrite(draft: &mut File, target: &Path) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).open(target)?;
    let (former, len) = (out.metadata()?.len(), draft.metadata()?.len());
    if len > former {
        draft.seek(SeekFrom::Start(former))?;
        out.seek(SeekFrom::Start(former))?;
        if let Err(error) = io::copy(draft, &mut out) {
            out.set_len(former)?;
            return Err(error);
        }
    }
    draft.rewind()?;
    out.rewind()?;
    io::copy(&mut draft.take(former.min(len)), &mut out)?;
    out.set_len(len)
}

/// Whether a file has other names (hard links), which a rename would leave behind.
#[cfg(unix)]
fn has_further_names(file: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) > 1
}

#[cfg(not(unix))]
fn has_further_names(_: &Metadata) -> bool {
    false
}

/// Gives a draft the owner, where that is allowed, and the mode of what it replaces.
#[cfg(unix)]
fn keep_owner_and_mode(draft: &File, former: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let now = draft.metadata()?;
    if (now.uid(), now.gid()) != (former.uid(), former.gid())
        && fchown(draft, Some(former.uid()), Some(former.gid())).is_err()
        && now.gid() != former.gid()
    {
        // Only root gives files away, but a group of one's own may keep its file.
        let _ = fchown(draft, None, Some(former.gid()));
    }
    draft.set_permissions(Permissions::from_mode(former.mode() & 0o7777))
}

#[cfg(not(unix))]
fn keep_owner_and_mode(draft: &File, former: &Metadata) -> io::Result<()> {
    draft.set_permissions(former.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) -> Result<(), Failure> {
        let mut sink = Sink::file(path, Privacy::Personal)?;
        sink.write_all(text.as_bytes()).unwrap();
        sink.finish()
    }

    #[test]
    fn outputs_are_named_after_their_inputs() {
        let stem = |input: &str| stem(Path::new(input));
        assert_eq!(stem("in/a.json"), "a");
        assert_eq!(stem("in/a.ndjson.gz"), "a");
        assert_eq!(stem("a.b"), "a.b");
        assert_eq!(stem("-"), "stdin");
    }

    #[test]
    fn a_file_appears_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.json");
        let mut sink = Sink::file(&path, Privacy::Personal).unwrap();
        sink.write_all(b"half").unwrap();
        sink.flush().unwrap();
        drop(sink);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0);
        write(&path, "whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        let none = folder.path().join("none.json");
        Sink::file(&none, Privacy::Personal)
            .unwrap()
            .finish()
            .unwrap();
        assert!(!none.exists());
        assert!(write(folder.path(), "x").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_draft_that_is_written_over_a_file_leaves_no_rest_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        for (former, text) in [("long before", "short"), ("short", "longer than before")] {
            fs::write(&a, former).unwrap();
            fs::hard_link(&a, &b).unwrap();
            write(&a, text).unwrap();
            assert_eq!(fs::read_to_string(&b).unwrap(), text);
            fs::remove_file(&b).unwrap();
        }
    }
}
