//! Outputs of the converters: stdout, one file, or a file for each input in a folder.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Failure;

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
                return Err(Failure::usage(format!(
                    "{} and {} would both give {}",
                    other.display(),
                    input.display(),
                    stem(input)
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
            return Err(Failure::usage(format!(
                "{}: the output would replace its input",
                file.display()
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

/// An output that becomes visible only when it is whole: a file is written under another
/// name and renamed by [`Sink::finish`]; one to which nothing was written never appears.
pub struct Sink(Kind);

enum Kind {
    Stdout(BufWriter<io::Stdout>),
    File {
        path: PathBuf,
        draft: PathBuf,
        out: Option<BufWriter<File>>,
    },
}

impl Sink {
    /// Stdout.
    pub fn stdout() -> Sink {
        Sink(Kind::Stdout(BufWriter::with_capacity(
            64 << 10,
            io::stdout(),
        )))
    }

    /// A file, in a folder that is made where it is missing.
    pub fn file(path: &Path) -> Sink {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        Sink(Kind::File {
            draft: path.with_file_name(name),
            path: path.to_owned(),
            out: None,
        })
    }

    /// Makes the output visible.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(), Failure> {
        let failed = match &mut self.0 {
            Kind::Stdout(out) => return out.flush().map_err(|e| Failure::stream(&e)),
            Kind::File { out, path, draft } => match out.take() {
                None => return Ok(()),
                Some(mut out) => out.flush().and_then(|()| fs::rename(&*draft, &*path)),
            },
        };
        failed.map_err(|e| self.failure(&e))
    }

    /// What an error of writing to it means.
    pub fn failure(&self, error: &io::Error) -> Failure {
        match &self.0 {
            Kind::Stdout(_) => Failure::stream(error),
            Kind::File { path, .. } => Failure::system(format!("{}: {error}", path.display())),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Stdout(out) => out.write(buf),
            Kind::File { out: Some(out), .. } => out.write(buf),
            Kind::File { out, draft, .. } => {
                if let Some(folder) = draft.parent() {
                    fs::create_dir_all(folder)?;
                }
                let file = File::create(&*draft)?;
                out.insert(BufWriter::with_capacity(64 << 10, file))
                    .write(buf)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Stdout(out) => out.flush(),
            Kind::File { out, .. } => out.as_mut().map_or(Ok(()), Write::flush),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Kind::File { out, draft, .. } = &mut self.0
            && out.take().is_some()
        {
            // Not finished: nothing half written stays behind.
            let _ = fs::remove_file(draft);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut sink = Sink::file(&path);
        sink.write_all(b"half").unwrap();
        drop(sink);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0);
        let mut sink = Sink::file(&path);
        sink.write_all(b"whole").unwrap();
        sink.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        Sink::file(&folder.path().join("none.json"))
            .finish()
            .unwrap();
        assert!(!folder.path().join("none.json").exists());
    }
}
