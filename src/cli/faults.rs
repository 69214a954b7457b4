//! Faults as lines: `FILE:LINE:COLUMN: POINTER: message`.

use std::io::{self, BufWriter, Write};

use super::{Failure, language};
use crate::fault::{Fault, Lang, Severity};

/// Writes faults to stderr, one a line, in the language of the terminal.
pub struct Reporter {
    lang: Lang,
    out: BufWriter<io::Stderr>,
    refused: bool,
}

impl Reporter {
    /// A reporter that has told nothing yet.
    pub fn new() -> Reporter {
        Reporter {
            lang: language(),
            out: BufWriter::new(io::stderr()),
            refused: false,
        }
    }

    /// Whether anything that was told refuses something.
    pub fn refused(&self) -> bool {
        self.refused
    }

    /// Tells all faults of a file in the order of their places, each once: a fault of a
    /// person stands with every record of theirs. Of `unlisted` ones only the number is told.
    ///
    /// # Errors
    /// When stderr takes no more.
    pub fn all<'a>(
        &mut self,
        file: &str,
        faults: impl IntoIterator<Item = &'a Fault>,
        unlisted: u64,
    ) -> Result<(), Failure> {
        let mut sorted: Vec<&Fault> = faults.into_iter().collect();
        sorted.sort_by(|a, b| {
            let key = |f: &'a Fault| (f.line, f.column, f.code, f.pointer.as_str());
            key(a).cmp(&key(b))
        });
        sorted.dedup();
        for fault in sorted {
            self.line(file, fault).map_err(|e| Failure::stream(&e))?;
        }
        if unlisted > 0 {
            self.refused = true;
            let told = match self.lang {
                Lang::En => writeln!(self.out, "{file}: {unlisted} more faults"),
                Lang::Ja => writeln!(self.out, "{file}: ほかに {unlisted} 件の不備があります"),
            };
            told.map_err(|e| Failure::stream(&e))?;
        }
        self.out.flush().map_err(|e| Failure::stream(&e))
    }

    fn line(&mut self, file: &str, fault: &Fault) -> io::Result<()> {
        self.refused |= fault.is_error();
        writeln!(self.out, "{}", line(file, fault, self.lang))
    }
}

/// One fault as a line, without the line feed.
pub fn line(file: &str, fault: &Fault, lang: Lang) -> String {
    let severity = match fault.severity {
        Severity::Error => "",
        Severity::Warning => "warning: ",
        Severity::Information => "information: ",
    };
    format!(
        "{file}:{}:{}: {}: {severity}{}",
        fault.line,
        fault.column,
        fault.pointer,
        fault.message(lang)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Code, Place};

    #[test]
    fn a_warning_says_so_before_its_message() {
        let place = Place { line: 3, column: 7 };
        let fault = Fault::new(Code::Implausible, "/a/0", place);
        let text = line("x.json", &fault, Lang::En);
        assert!(
            text.starts_with("x.json:3:7: /a/0: warning: implausible: "),
            "{text}"
        );
        let fault = Fault::new(Code::Type, "/a/0", place);
        let text = line("x.json", &fault, Lang::Ja);
        assert!(text.starts_with("x.json:3:7: /a/0: type: 値の型"), "{text}");
    }
}
