//! A parameter with its values, and what chains and `_has` put around it.

use std::cell::Cell;

use super::parameter::{Link, Parameter, ParameterType, Searchable};
use super::{Invalid, Limits, Scope};
use crate::fhir::resource::{self, Source};
use crate::store::Test;

/// What changes the meaning of a parameter (FHIR R4, search, "Modifiers").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modifier {
    /// `:missing`
    Missing,
    /// `:not`
    Not,
    /// `:text`
    Text,
    /// `:in`
    In,
    /// `:not-in`
    NotIn,
    /// `:below`
    Below,
    /// `:above`
    Above,
    /// `:exact`
    Exact,
    /// `:contains`
    Contains,
    /// `:identifier`
    Identifier,
    /// `:[type]`, a type that a reference leads to.
    Type(&'static str),
}

impl Modifier {
    const NAMED: [Modifier; 10] = [
        Modifier::Missing,
        Modifier::Not,
        Modifier::Text,
        Modifier::In,
        Modifier::NotIn,
        Modifier::Below,
        Modifier::Above,
        Modifier::Exact,
        Modifier::Contains,
        Modifier::Identifier,
    ];

    /// Its name, without the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Modifier::Missing => "missing",
            Modifier::Not => "not",
            Modifier::Text => "text",
            Modifier::In => "in",
            Modifier::NotIn => "not-in",
            Modifier::Below => "below",
            Modifier::Above => "above",
            Modifier::Exact => "exact",
            Modifier::Contains => "contains",
            Modifier::Identifier => "identifier",
            Modifier::Type(name) => name,
        }
    }

    /// The modifiers that parameters of a type take.
    pub const fn of_type(ty: ParameterType) -> &'static [Modifier] {
        match ty {
            ParameterType::Token => &[
                Modifier::Missing,
                Modifier::Not,
                Modifier::Text,
                Modifier::In,
                Modifier::NotIn,
                Modifier::Below,
                Modifier::Above,
            ],
            ParameterType::String => &[Modifier::Missing, Modifier::Exact, Modifier::Contains],
            ParameterType::Reference => &[Modifier::Missing, Modifier::Identifier],
            ParameterType::Uri => &[Modifier::Missing, Modifier::Below, Modifier::Above],
            ParameterType::Number
            | ParameterType::Date
            | ParameterType::Quantity
            | ParameterType::Composite => &[Modifier::Missing],
        }
    }

    /// The modifier of a parameter that is written so.
    fn read(parameter: &Parameter, text: &str) -> Option<Modifier> {
        let named = Modifier::NAMED.into_iter().find(|m| m.as_str() == text);
        let of_type = || parameter.types.iter().find(|t| **t == text);
        match named {
            Some(named) => parameter.modifiers.contains(&named).then_some(named),
            None => of_type().map(|name| Modifier::Type(name)),
        }
    }
}

/// A parameter with its values.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Its name as it was written, with all that stands around it.
    pub name: String,
    /// The row of the table.
    pub parameter: &'static Parameter,
    /// Its modifier.
    pub modifier: Option<Modifier>,
    /// The values, any of which may hold; still escaped.
    pub values: Vec<String>,
}

impl Filter {
    /// The values as `read` understands them.
    ///
    /// # Errors
    /// The first value that is wrong.
    pub fn read<T>(
        &self,
        read: impl Fn(&str, &str) -> Result<T, Invalid>,
    ) -> Result<Vec<T>, Invalid> {
        self.values.iter().map(|v| read(&self.name, v)).collect()
    }

    /// The values as dates.
    ///
    /// # Errors
    /// The first that is none.
    pub fn dates(&self, scope: &Scope) -> Result<Vec<super::date::DateTest>, Invalid> {
        self.read(|name, value| super::date::DateTest::read(name, value, scope.zone))
    }

    /// The values as tokens.
    ///
    /// # Errors
    /// The first that is none.
    pub fn tokens(&self) -> Result<Vec<super::token::Token>, Invalid> {
        self.read(super::token::Token::read)
    }

    /// The values as tokens, their systems as we write them.
    ///
    /// # Errors
    /// The first that is none.
    pub fn canonical_tokens(&self, scope: &Scope) -> Result<Vec<super::token::Token>, Invalid> {
        let mut tokens = self.tokens()?;
        for token in &mut tokens {
            token.canonicalize(scope.kinds);
        }
        Ok(tokens)
    }

    /// What the filter means, with what its modifier does to any type: `holds` for a value
    /// without it, `present` where the element has a value at all.
    ///
    /// # Errors
    /// That of `holds`; a value of `:missing` that is neither true nor false.
    pub fn judge(
        &self,
        present: impl FnOnce() -> Test,
        holds: impl FnOnce() -> Result<Test, Invalid>,
    ) -> Result<Test, Invalid> {
        match self.modifier {
            Some(Modifier::Missing) => {
                let missing = self.read(|name, value| match value {
                    "true" => Ok(true),
                    "false" => Ok(false),
                    _ => Err(Invalid::new(
                        name,
                        "true or false is expected",
                        "true または false を指定してください",
                    )),
                })?;
                let present = present();
                Ok(Test::any(
                    missing.iter().map(|&m| present.clone().negated_if(m)),
                ))
            }
            Some(Modifier::Not | Modifier::NotIn) => Ok(holds()?.negated()),
            _ => holds(),
        }
    }
}

/// What a search asks for by one of its parameters.
#[derive(Debug, Clone)]
pub enum Criterion {
    /// `code=x`
    Is(Filter),
    /// `patient.identifier=x`: what a reference leads to is asked for something.
    Chain(Vec<(&'static Link, Criterion)>),
    /// `_has:Observation:patient:code=x`: what refers to it is asked for something.
    Has(Vec<(&'static Link, Source, Criterion)>),
}

/// The values of a parameter, before it is known which it is.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The name, as it was written.
    pub name: &'a str,
    /// The values with plus signs as they are.
    pub plain: &'a [String],
    /// With plus signs as spaces: for texts.
    pub spaced: &'a [String],
    /// Limits of a search that a client asks for.
    pub limits: Limits,
    /// References that the chain leads along so far.
    pub depth: usize,
    /// Those of all chains of the search, along every way.
    pub joins: &'a Cell<usize>,
}

impl Written<'_> {
    /// One reference further.
    fn further(self) -> Result<Self, Invalid> {
        let depth = self.depth + 1;
        self.limits.depth(self.name, depth)?;
        Ok(Written { depth, ..self })
    }

    /// Counts a link that is followed to so many tables.
    fn follow(self, number: usize) -> Result<(), Invalid> {
        let joins = self.joins.get() + number;
        self.joins.set(joins);
        self.limits.joins(self.name, joins)
    }
}

impl Criterion {
    /// The criterion that a name means; `None` where there is no such parameter or chain.
    ///
    /// # Errors
    /// [`Invalid`] for a modifier that the parameter does not take.
    pub fn read(
        searchable: &'static Searchable,
        name: &str,
        written: Written,
    ) -> Result<Option<Criterion>, Invalid> {
        if let Some(rest) = name.strip_prefix("_has:") {
            return Criterion::has(searchable, rest, written);
        }
        let (own, chain) = match name.split_once('.') {
            Some((own, chain)) => (own, Some(chain)),
            None => (name, None),
        };
        let (base, modifier) = match own.split_once(':') {
            Some((base, modifier)) => (base, Some(modifier)),
            None => (own, None),
        };
        let Some(parameter) = searchable.parameter(base) else {
            return Ok(None);
        };
        let modifier = match modifier {
            None => None,
            Some(text) => match Modifier::read(parameter, text) {
                Some(modifier) => Some(modifier),
                None => return Err(wrong_modifier(parameter, text, written.name)),
            },
        };
        let Some(chain) = chain else {
            let values = match parameter.ty {
                ParameterType::String => written.spaced,
                _ => written.plain,
            };
            return Ok(Some(Criterion::Is(Filter {
                name: written.name.to_owned(),
                parameter,
                modifier,
                values: values.to_vec(),
            })));
        };
        let of_type = match modifier {
            None => None,
            Some(Modifier::Type(name)) => Some(name),
            Some(_) => return Ok(None),
        };
        let links = parameter.links.iter();
        let links = links.filter(|l| of_type.is_none_or(|t| t == l.resource.resource_type));
        let written = written.further()?;
        let ways = ways(links, |link| {
            written.follow(1)?;
            Criterion::read(link.resource, chain, written)
        })?;
        Ok((!ways.is_empty()).then_some(Criterion::Chain(ways)))
    }

    /// `[resource]:[reference]:[name]`, after `_has:`.
    fn has(
        searchable: &'static Searchable,
        rest: &str,
        written: Written,
    ) -> Result<Option<Criterion>, Invalid> {
        let mut parts = rest.splitn(3, ':');
        let (Some(resource), Some(reference), Some(name)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let Some(resource) = resource::by_name(resource) else {
            return Ok(None);
        };
        let Some(parameter) = resource.searchable.parameter(reference) else {
            return Ok(None);
        };
        let links = parameter.links.iter();
        let links = links.filter(|l| std::ptr::eq(l.resource, searchable));
        let written = written.further()?;
        let ways = ways(links, |_| {
            written.follow(resource.sources.len())?;
            Criterion::read(resource.searchable, name, written)
        })?;
        let each = ways.into_iter().flat_map(|(link, criterion)| {
            let sources = resource.sources.iter();
            sources.map(move |source| (link, *source, criterion.clone()))
        });
        let ways: Vec<_> = each.collect();
        Ok((!ways.is_empty()).then_some(Criterion::Has(ways)))
    }

    /// What it means for the rows of a source.
    ///
    /// # Errors
    /// [`Invalid`] for a value that is wrong.
    pub fn test(&self, scope: &Scope, source: &Source) -> Result<Test, Invalid> {
        match self {
            Criterion::Is(filter) => {
                let means = (filter.parameter.means)(scope, source, filter)?;
                match source {
                    Source::Record => super::residue::also(scope, filter, means),
                    _ => Ok(means),
                }
            }
            Criterion::Chain(ways) => {
                let tests = ways.iter().map(|(link, inner)| {
                    let inner = inner.test(scope, &link.source)?;
                    Ok(link.there(scope, inner))
                });
                Ok(Test::any(tests.collect::<Result<Vec<_>, _>>()?))
            }
            Criterion::Has(ways) => {
                let ways = ways.iter().filter(|(link, ..)| link.source.is(source));
                let tests = ways.map(|(link, of, inner)| {
                    let inner = inner.test(scope, of)?;
                    Ok(link.back(scope, inner))
                });
                Ok(Test::any(tests.collect::<Result<Vec<_>, _>>()?))
            }
        }
    }

    /// The parameter at its end.
    pub fn filter(&self) -> Option<&Filter> {
        match self {
            Criterion::Is(filter) => Some(filter),
            Criterion::Chain(ways) => ways.first()?.1.filter(),
            Criterion::Has(ways) => ways.first()?.2.filter(),
        }
    }
}

/// The links along which something can be read; what is wrong along all of them.
fn ways(
    links: impl Iterator<Item = &'static Link>,
    read: impl Fn(&'static Link) -> Result<Option<Criterion>, Invalid>,
) -> Result<Vec<(&'static Link, Criterion)>, Invalid> {
    let mut ways = Vec::new();
    let mut wrong = None;
    for link in links {
        match read(link) {
            Ok(criterion) => ways.extend(criterion.map(|criterion| (link, criterion))),
            Err(invalid) => wrong = Some(invalid),
        }
    }
    match wrong {
        Some(invalid) if ways.is_empty() => Err(invalid),
        _ => Ok(ways),
    }
}

fn wrong_modifier(parameter: &Parameter, text: &str, written: &str) -> Invalid {
    let known: Vec<String> = parameter
        .modifier_names()
        .iter()
        .map(|name| format!(":{name}"))
        .collect();
    let (name, known) = (parameter.name, known.join(", "));
    Invalid::new(
        written,
        format!("the modifier :{text} is not supported for {name}; {known} are"),
        format!("{name} は修飾子 :{text} に対応していません。使えるのは {known} です"),
    )
}
