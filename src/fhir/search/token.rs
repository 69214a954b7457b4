//! Tokens: `code`, `system|code`, `|code`, `system|` (FHIR R4, search, "token").

use super::Invalid;
use super::form::{split, unescape};
use crate::kind::Kinds;

/// The system that a token asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum System {
    /// `code`: any system, or none.
    Any,
    /// `|code`: no system.
    Absent,
    /// `system|code`, `system|`
    Is(String),
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The system.
    pub system: System,
    /// The code or value; any where it is absent.
    pub code: Option<String>,
}

impl Token {
    /// Reads a token.
    ///
    /// # Errors
    /// [`Invalid`] for one that asks for nothing (`|`), or has too many parts.
    pub fn read(parameter: &str, value: &str) -> Result<Token, Invalid> {
        let parts: Vec<String> = split(value, '|').into_iter().map(unescape).collect();
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        match parts.as_slice() {
            [code] if !code.is_empty() => Ok(Token {
                system: System::Any,
                code: Some(code.clone()),
            }),
            [system, code] if !(system.is_empty() && code.is_empty()) => Ok(Token {
                system: some(system).map_or(System::Absent, System::Is),
                code: some(code),
            }),
            _ => Err(Invalid::new(
                parameter,
                "a token is code, system|code, |code or system|",
                "トークンは code、system|code、|code、system| のいずれかです",
            )),
        }
    }

    /// Writes the system as we write it, where it is an alias.
    pub fn canonicalize(&mut self, kinds: &Kinds) {
        if let System::Is(system) = &mut self.system {
            *system = kinds.systems.canonical(system).to_owned();
        }
    }

    /// Whether a coding (or an identifier) with a system is meant.
    pub fn matches(&self, system: &str, code: &str) -> bool {
        self.takes_system(system) && self.takes_code(code)
    }

    /// Whether the system is meant.
    pub fn takes_system(&self, system: &str) -> bool {
        match &self.system {
            System::Any => true,
            System::Absent => system.is_empty(),
            System::Is(asked) => asked == system,
        }
    }

    /// Whether the code is meant.
    pub fn takes_code(&self, code: &str) -> bool {
        self.code.as_ref().is_none_or(|asked| asked == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms() {
        let token = |text| Token::read("code", text).unwrap();
        assert!(token("a").matches("s", "a") && token("a").matches("", "a"));
        assert!(token("s|a").matches("s", "a") && !token("s|a").matches("t", "a"));
        assert!(token("|a").matches("", "a") && !token("|a").matches("s", "a"));
        assert!(token("s|").matches("s", "b") && !token("s|").matches("t", "b"));
        assert!(token("s\\|t|a").matches("s|t", "a"));
        for bad in ["", "|", "a|b|c"] {
            assert!(Token::read("code", bad).is_err(), "{bad}");
        }
    }
}
