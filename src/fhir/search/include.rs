//! `_include` and `_revinclude`: which resources come along
//! (FHIR R4, search, "Including other resources in result").

use super::parameter::{Parameter, ParameterType, Searchable};
use crate::fhir::resource;

/// Resources that come along with the matches.
#[derive(Debug, Clone)]
pub struct Include {
    /// Whether those come that refer to the matches (`_revinclude`), not those that the
    /// matches refer to.
    pub reverse: bool,
    /// Whether it holds for what was included too (`:iterate`, `:recurse`).
    pub iterate: bool,
    /// The resource that refers; any where it is absent (`*`).
    pub source: Option<&'static Searchable>,
    /// The reference; any where it is absent (`*`).
    pub parameter: Option<&'static Parameter>,
    /// The type referred to, where only one is asked for.
    pub target: Option<String>,
}

impl Include {
    /// Reads the value of an `_include` or `_revinclude` of a search for a resource; `None`
    /// where it names nothing that there is, or can never lead anywhere.
    pub fn read(
        searched: &'static Searchable,
        reverse: bool,
        iterate: bool,
        value: &str,
    ) -> Option<Include> {
        let mut parts = value.splitn(3, ':');
        let source = match parts.next()? {
            "*" => None,
            name => Some(resource::by_name(name)?.searchable),
        };
        let parameter = match (source, parts.next()) {
            (None, None) | (Some(_), Some("*")) => None,
            (Some(source), Some(name)) => {
                let found = source.parameter(name)?;
                Some((found.ty == ParameterType::Reference).then_some(found)?)
            }
            _ => return None,
        };
        let target = parts.next().map(str::to_owned);
        if let (Some(target), Some(parameter)) = (&target, parameter)
            && !parameter.types.contains(&target.as_str())
        {
            return None;
        }
        let reaches = |of: &Searchable| {
            let mut own = of.parameters.iter().flat_map(|p| p.links);
            own.any(|link| std::ptr::eq(link.resource, searched))
        };
        let fits = match (reverse, source) {
            _ if iterate => true,
            (_, None) => true,
            (false, Some(source)) => std::ptr::eq(source, searched),
            (true, Some(source)) => match parameter {
                Some(p) => p
                    .links
                    .iter()
                    .any(|link| std::ptr::eq(link.resource, searched)),
                None => reaches(source),
            },
        };
        fits.then_some(Include {
            reverse,
            iterate,
            source,
            parameter,
            target,
        })
    }
}
