//! Coded elements: what stands in them, and which of it a token parameter means.
//!
//! What an element holds depends on the row that the resource is made from, so concepts and
//! their codings stand with the [`Test`] of the rows that have them. The function here
//! holds for every parameter of type token, with all modifiers; a parameter's own function
//! only says what it reads.

use std::borrow::Cow;

use super::form::unescape;
use super::token::Token;
use super::valueset::{self, ValueSet};
use super::{Filter, Invalid, Modifier, Scope};
use crate::fold::fold;
use crate::store::{FieldTest, Test};

/// A code, or where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// This one.
    Is(Cow<'static, str>),
    /// Any text, in this field of a record.
    Field(usize),
}

/// A code with its system.
#[derive(Debug, Clone)]
pub struct Coding {
    /// The system; of an element of type `code` that of its value set.
    pub system: Cow<'static, str>,
    /// The code.
    pub code: Code,
    /// Its display, where one is written.
    pub display: Cow<'static, str>,
    /// Which rows of those with the concept have it.
    pub when: Test,
}

/// A coded element that resources have where a test of their row holds.
#[derive(Debug, Clone)]
pub struct Concept {
    /// Which rows.
    pub when: Test,
    /// Its codings.
    pub codings: Vec<Coding>,
    /// Its text, where one is written.
    pub text: Cow<'static, str>,
}

impl Concept {
    /// One code.
    pub fn new(
        when: Test,
        system: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
    ) -> Concept {
        Concept::coded(when, system, code, "")
    }

    /// One code with its display.
    pub fn coded(
        when: Test,
        system: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        display: impl Into<Cow<'static, str>>,
    ) -> Concept {
        let concept = Concept {
            when,
            codings: Vec::new(),
            text: "".into(),
        };
        concept.coding(system, code, display)
    }

    /// With a further coding.
    #[must_use]
    pub fn coding(
        mut self,
        system: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        display: impl Into<Cow<'static, str>>,
    ) -> Concept {
        self.codings.push(Coding {
            system: system.into(),
            code: Code::Is(code.into()),
            display: display.into(),
            when: Test::ALWAYS,
        });
        self
    }

    /// With a text.
    #[must_use]
    pub fn text(self, text: impl Into<Cow<'static, str>>) -> Concept {
        Concept {
            text: text.into(),
            ..self
        }
    }

    /// A boolean; R4 gives its values this system.
    pub fn boolean(when: Test, value: bool) -> Concept {
        let code = if value { "true" } else { "false" };
        Concept::new(when, "http://hl7.org/fhir/special-values", code)
    }

    /// Which rows have a coding that one of the tokens means.
    pub fn is(&self, tokens: &[Token]) -> Test {
        self.any(|coding| {
            let tokens = tokens.iter().filter(|t| t.takes_system(&coding.system));
            match &coding.code {
                Code::Is(code) => Test::Constant(tokens.clone().any(|t| t.takes_code(code))),
                Code::Field(field) => {
                    let codes: Option<Vec<String>> = tokens.map(|t| t.code.clone()).collect();
                    text_of(*field, codes)
                }
            }
        })
    }

    /// Which rows have a coding of one of the value sets.
    fn is_in(&self, sets: &[ValueSet]) -> Test {
        self.any(|coding| {
            let codes = sets.iter().filter_map(|set| set.of_system(&coding.system));
            match &coding.code {
                Code::Is(code) => Test::Constant(codes.clone().any(|codes| codes.has(code))),
                Code::Field(field) => {
                    let listed: Option<Vec<&[&str]>> = codes.map(|c| c.listed()).collect();
                    let listed = listed.map(|lists| lists.concat());
                    text_of(
                        *field,
                        listed.map(|l| l.into_iter().map(str::to_owned).collect()),
                    )
                }
            }
        })
    }

    /// Which rows have a text or display that begins with one of these, which are folded.
    fn begins(&self, starts: &[String]) -> Test {
        let begins = |text: &str| {
            let text = fold(text);
            !text.is_empty() && starts.iter().any(|start| text.starts_with(start.as_str()))
        };
        if begins(&self.text) {
            return self.when.clone();
        }
        self.any(|coding| Test::Constant(begins(&coding.display)))
    }

    /// Which rows have a coding of which something holds.
    fn any(&self, holds: impl Fn(&Coding) -> Test) -> Test {
        let codings = self.codings.iter();
        let codings = codings.map(|c| Test::all([holds(c), c.when.clone()]));
        Test::all([self.when.clone(), Test::any(codings)])
    }
}

/// A field has one of these texts; any where they are `None`.
fn text_of(field: usize, texts: Option<Vec<String>>) -> Test {
    match texts {
        Some(texts) if texts.is_empty() => Test::NEVER,
        Some(texts) => Test::Field {
            field,
            test: FieldTest::Text(texts),
        },
        None => Test::Field {
            field,
            test: FieldTest::Present,
        },
    }
}

/// What a filter of type token asks of a concept, once for all rows.
#[derive(Debug)]
pub enum Asked {
    /// One of these tokens.
    Tokens(Vec<Token>),
    /// A text or display that begins with one of these, which are folded.
    Texts(Vec<String>),
    /// A code of one of these value sets.
    Sets(Vec<ValueSet>),
}

impl Asked {
    /// Reads the values of a filter. Code systems are flat here, so that `:below` and
    /// `:above` mean the code itself.
    ///
    /// # Errors
    /// [`Invalid`] for a value that is no token, or a value set that is not known.
    pub fn read(scope: &Scope, filter: &Filter) -> Result<Asked, Invalid> {
        Ok(match filter.modifier {
            Some(Modifier::Text) => {
                Asked::Texts(filter.values.iter().map(|v| fold(&unescape(v))).collect())
            }
            Some(Modifier::In | Modifier::NotIn) => {
                Asked::Sets(filter.read(|name, value| valueset::read(scope, name, value))?)
            }
            _ => Asked::Tokens(filter.canonical_tokens(scope)?),
        })
    }

    /// Which rows have a concept that is meant.
    pub fn of(&self, concept: &Concept) -> Test {
        match self {
            Asked::Tokens(tokens) => concept.is(tokens),
            Asked::Texts(starts) => concept.begins(starts),
            Asked::Sets(sets) => concept.is_in(sets),
        }
    }
}

/// A token of concepts.
///
/// # Errors
/// [`Invalid`] for a value that is no token.
pub fn token(scope: &Scope, filter: &Filter, concepts: &[Concept]) -> Result<Test, Invalid> {
    filter.judge(
        || Test::any(concepts.iter().map(|c| c.when.clone())),
        || {
            let asked = Asked::read(scope, filter)?;
            Ok(Test::any(concepts.iter().map(|c| asked.of(c))))
        },
    )
}
