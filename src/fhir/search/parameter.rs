//! What a search parameter is: one row of the table of its resource.

use super::{Filter, Invalid, Modifier, Scope};
use crate::fhir::resource::Source;
use crate::store::{Relation, SortBy, Test};

/// The type of a search parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    /// A number.
    Number,
    /// A date or time.
    Date,
    /// A text for people.
    String,
    /// A code, an identifier.
    Token,
    /// A reference to another resource.
    Reference,
    /// Values of several parameters that meet in one place.
    Composite,
    /// A number with a unit.
    Quantity,
    /// An address.
    Uri,
}

impl ParameterType {
    /// The code of FHIR's `search-param-type`.
    pub fn as_str(self) -> &'static str {
        match self {
            ParameterType::Number => "number",
            ParameterType::Date => "date",
            ParameterType::String => "string",
            ParameterType::Token => "token",
            ParameterType::Reference => "reference",
            ParameterType::Composite => "composite",
            ParameterType::Quantity => "quantity",
            ParameterType::Uri => "uri",
        }
    }
}

/// The function that says what the values of a parameter mean for the rows of a source.
///
/// It says it for all of them: what the modifiers of a type mean is said by the code of
/// that type, beginning with [`Filter::judge`].
pub type Means = fn(&Scope, &Source, &Filter) -> Result<Test, Invalid>;

/// Where a reference leads, for its values, for chains and for `_has`.
#[derive(Debug)]
pub struct Link {
    /// The resource that it leads to.
    pub resource: &'static Searchable,
    /// What that resource is made from.
    pub source: Source,
    /// The way there.
    pub relation: Relation,
    /// Where it leads there at all: for some of the records.
    pub only: fn(&Scope) -> Test,
}

/// [`Link::only`] of a reference that always leads there.
pub fn always(_: &Scope) -> Test {
    Test::ALWAYS
}

impl Link {
    /// What holds where the reference leads to something of which `inner` holds.
    pub fn there(&self, scope: &Scope, inner: Test) -> Test {
        Test::all([(self.only)(scope), Test::related(self.relation, inner)])
    }

    /// What holds for the target where something refers to it of which `inner` holds.
    pub fn back(&self, scope: &Scope, inner: Test) -> Test {
        let inner = Test::all([(self.only)(scope), inner]);
        Test::related(self.relation.reverse(), inner)
    }
}

/// One search parameter of one resource.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: ParameterType,
    /// The FHIRPath of what it reads.
    pub reads: &'static str,
    /// The canonical of its definition, after `http://hl7.org/fhir/SearchParameter/`.
    pub definition: &'static str,
    /// The modifiers that it takes, beside the types of a reference.
    pub modifiers: &'static [Modifier],
    /// The types that R4 lets a reference lead to.
    pub types: &'static [&'static str],
    /// Where a reference leads here.
    pub links: &'static [Link],
    /// What `_sort` by it compares.
    pub sort: Option<SortBy>,
    /// What its values mean.
    pub means: Means,
}

impl Parameter {
    /// A row of the table, without what few rows have; its modifiers are those of the type.
    pub const fn new(
        name: &'static str,
        ty: ParameterType,
        reads: &'static str,
        definition: &'static str,
        means: Means,
    ) -> Parameter {
        Parameter {
            name,
            ty,
            reads,
            definition,
            modifiers: Modifier::of_type(ty),
            types: &[],
            links: &[],
            sort: None,
            means,
        }
    }

    /// The same, sorted by this.
    #[must_use]
    pub const fn sorted(self, by: SortBy) -> Parameter {
        Parameter {
            sort: Some(by),
            ..self
        }
    }

    /// A token that is no concept: an id, an identifier.
    #[must_use]
    pub const fn plain(self) -> Parameter {
        Parameter {
            modifiers: &[Modifier::Missing, Modifier::Not],
            ..self
        }
    }

    /// A reference that leads somewhere.
    #[must_use]
    pub const fn leading(
        self,
        types: &'static [&'static str],
        links: &'static [Link],
    ) -> Parameter {
        Parameter {
            types,
            links,
            ..self
        }
    }

    /// The modifiers as they are written, the types of a reference among them.
    pub fn modifier_names(&self) -> Vec<&'static str> {
        let own = self.modifiers.iter().map(|m| m.as_str());
        own.chain(self.types.iter().copied()).collect()
    }
}

/// What one resource can be searched by.
#[derive(Debug)]
pub struct Searchable {
    /// The resource type.
    pub resource_type: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
}

impl Searchable {
    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }

    /// The keys of `_sort`.
    pub fn sort_keys(&self) -> Vec<&'static str> {
        let sorted = self.parameters.iter().filter(|p| p.sort.is_some());
        sorted.map(|p| p.name).collect()
    }
}
