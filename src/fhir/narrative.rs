//! Content of a narrative: XHTML with the elements and attributes that R4 allows
//! (<https://hl7.org/fhir/R4/narrative.html>, invariants `txt-1` and `txt-2`).
//!
//! A narrative is shown by browsers, so it is refused where an XML reader and an HTML reader could
//! understand it differently: declarations, processing instructions, CDATA sections, prefixes, and
//! comments that HTML ends earlier.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};

/// Namespace of XHTML.
const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// Elements of `txt-1`, sorted.
const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "ul",
    "var",
];

/// Attributes of `txt-1` and the two of XML itself that HL7's validator allows beside them,
/// sorted.
const ATTRIBUTES: &[&str] = &[
    "abbr",
    "accesskey",
    "align",
    "alt",
    "axis",
    "bgcolor",
    "border",
    "cellhalign",
    "cellpadding",
    "cellspacing",
    "cellvalign",
    "char",
    "charoff",
    "charset",
    "cite",
    "class",
    "colspan",
    "compact",
    "coords",
    "dir",
    "frame",
    "headers",
    "height",
    "href",
    "hreflang",
    "hspace",
    "id",
    "lang",
    "longdesc",
    "name",
    "nowrap",
    "rel",
    "rev",
    "rowspan",
    "rules",
    "scope",
    "shape",
    "span",
    "src",
    "start",
    "style",
    "summary",
    "tabindex",
    "title",
    "type",
    "valign",
    "value",
    "vspace",
    "width",
    "xml:lang",
    "xml:space",
];

/// Attributes whose value is the address of something.
const ADDRESSES: &[&str] = &["cite", "href", "longdesc", "src"];

/// Schemes of addresses that a browser may follow.
const SCHEMES: &[&str] = &["http", "https", "mailto", "tel", "urn"];

/// Images that may stand in an address itself; not those that can hold scripts.
const IMAGES: &[&str] = &["gif", "jpeg", "png", "webp"];

/// Parts of a style that fetch or run something outside of it. A backslash could spell any of
/// them in another way.
const ACTIVE_STYLES: &[&str] = &[
    "\\",
    "/*",
    "@import",
    "behavior",
    "binding",
    "expression",
    "javascript:",
    "url(",
];

/// Description of a mistake in a narrative: what is expected, and what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// One of the phrases with a Japanese form.
    pub expected: &'static str,
    /// The element or attribute, with as much of its value as tells it.
    pub found: String,
}

fn mistake(expected: &'static str, found: impl AsRef<str>) -> Mistake {
    const LONGEST: usize = 60;
    let found = found.as_ref();
    let end = found.char_indices().nth(LONGEST).map(|(at, _)| at);
    Mistake {
        expected,
        found: match end {
            Some(end) => format!("{}…", &found[..end]),
            None => found.to_owned(),
        },
    }
}

/// Checks the text of `Narrative.div`.
///
/// # Errors
/// The first mistake.
pub fn check(div: &str) -> Result<(), Mistake> {
    let mut reader = Reader::from_str(div);
    reader.check_comments(true);
    let mut depth = 0_usize;
    let mut closed = false;
    let mut has_content = false;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| mistake("well-formed XHTML", error.to_string()))?;
        let is_outside = depth == 0;
        match event {
            Event::Start(start) => {
                has_content |= opened(&start, is_outside, closed)?;
                depth += 1;
            }
            Event::Empty(start) => {
                has_content |= opened(&start, is_outside, closed)?;
                closed |= is_outside;
            }
            Event::End(_) => {
                depth -= 1;
                closed |= depth == 0;
            }
            Event::Text(text) => {
                let text = text.unescape().map_err(|error| {
                    mistake("a character instead of an HTML entity", error.to_string())
                })?;
                no_controls(&text)?;
                let is_filled = text.chars().any(|letter| !letter.is_whitespace());
                if is_filled && is_outside {
                    return Err(mistake("one div element of XHTML", &*text));
                }
                has_content |= is_filled;
            }
            Event::Comment(text) => {
                // HTML ends a comment at once where it begins so.
                let text = String::from_utf8_lossy(&text);
                if text.starts_with('>') || text.starts_with("->") {
                    return Err(mistake("well-formed XHTML", format!("<!--{text}-->")));
                }
            }
            Event::CData(_) => return Err(mistake("well-formed XHTML", "<![CDATA[")),
            Event::Decl(_) | Event::PI(_) => return Err(mistake("one div element of XHTML", "<?")),
            Event::DocType(_) => return Err(mistake("one div element of XHTML", "<!DOCTYPE")),
            Event::Eof => break,
        }
    }
    if depth > 0 {
        return Err(mistake("well-formed XHTML", "an element without its end"));
    }
    if !closed {
        return Err(mistake("one div element of XHTML", "no element"));
    }
    if !has_content {
        return Err(mistake("a text or an image within the div", "white space"));
    }
    Ok(())
}

/// Checks the start of an element. Whether it is an image.
fn opened(start: &BytesStart, is_outside: bool, closed: bool) -> Result<bool, Mistake> {
    let name = start.name();
    let name = text_of(name.as_ref())?;
    let element = || format!("<{name}>");
    if is_outside && (closed || name != "div") {
        return Err(mistake("one div element of XHTML", element()));
    }
    if ELEMENTS.binary_search(&name).is_err() {
        return Err(mistake("an element that a narrative may have", element()));
    }
    let (mut has_namespace, mut has_source) = (false, false);
    // A name twice ends this, so that there are never more than the table has.
    for attribute in start.attributes() {
        let attribute =
            attribute.map_err(|error| mistake("well-formed XHTML", error.to_string()))?;
        let key = text_of(attribute.key.as_ref())?;
        let value = value_of(&attribute)?;
        let shown = || format!("<{name} {key}=\"{value}\">");
        if key == "xmlns" {
            if value != XHTML {
                return Err(mistake(
                    "the namespace http://www.w3.org/1999/xhtml",
                    shown(),
                ));
            }
            has_namespace = true;
            continue;
        }
        if ATTRIBUTES.binary_search(&key).is_err() {
            return Err(mistake("an attribute that a narrative may have", shown()));
        }
        has_source |= key == "src" && !value.trim().is_empty();
        let is_active = match key {
            "style" => is_active_style(&value),
            _ => ADDRESSES.contains(&key) && !is_harmless(&value, name == "img" && key == "src"),
        };
        if is_active {
            return Err(mistake("an address or a style that runs nothing", shown()));
        }
    }
    if is_outside && !has_namespace {
        return Err(mistake(
            "the namespace http://www.w3.org/1999/xhtml",
            element(),
        ));
    }
    Ok(name == "img" && has_source)
}

fn text_of(bytes: &[u8]) -> Result<&str, Mistake> {
    std::str::from_utf8(bytes).map_err(|error| mistake("well-formed XHTML", error.to_string()))
}

fn value_of<'a>(attribute: &Attribute<'a>) -> Result<Cow<'a, str>, Mistake> {
    if attribute.value.contains(&b'<') {
        return Err(mistake("well-formed XHTML", "< in an attribute"));
    }
    let value = attribute
        .unescape_value()
        .map_err(|error| mistake("a character instead of an HTML entity", error.to_string()))?;
    no_controls(&value)?;
    Ok(value)
}

/// Checks that a text has only the characters of XML.
fn no_controls(text: &str) -> Result<(), Mistake> {
    let is_legal = |letter: char| match letter {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        _ => letter >= ' ',
    };
    match text.chars().find(|&letter| !is_legal(letter)) {
        Some(letter) => Err(mistake(
            "well-formed XHTML",
            letter.escape_unicode().to_string(),
        )),
        None => Ok(()),
    }
}

/// Whether a browser that follows an address, or shows an image from it, runs nothing.
fn is_harmless(address: &str, is_image: bool) -> bool {
    // Browsers pass over white space and control characters.
    let address: String = address
        .chars()
        .filter(|letter| !letter.is_whitespace() && !letter.is_control())
        .collect();
    let address = address.to_ascii_lowercase();
    let Some((scheme, rest)) = address.split_once(':') else {
        return true;
    };
    if scheme.contains(['/', '?', '#']) || SCHEMES.contains(&scheme) {
        return true;
    }
    let image = rest
        .strip_prefix("image/")
        .and_then(|rest| rest.split([';', ',']).next());
    is_image && scheme == "data" && image.is_some_and(|image| IMAGES.contains(&image))
}

fn is_active_style(style: &str) -> bool {
    let style = style.to_ascii_lowercase();
    ACTIVE_STYLES.iter().any(|part| style.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn div(content: &str) -> String {
        format!("<div xmlns=\"{XHTML}\">{content}</div>")
    }

    #[test]
    fn the_tables_are_sorted() {
        assert!(ELEMENTS.is_sorted() && ATTRIBUTES.is_sorted());
    }

    #[test]
    fn narratives_of_r4_are_taken() {
        for content in [
            "6.5 %",
            "<p class=\"x\" style=\"color: red\">a<br/>b</p>",
            "<a href=\"https://example.org/x?y=1:2\">x</a><a name=\"z\">y</a><a href=\"#z\">z</a>",
            "<a href=\"Patient/1\">x</a><a href=\"mailto:a@example.org\">y</a>",
            "<img src=\"#figure\" alt=\"\"/>",
            "<img src=\"data:image/png;base64,AAAA\"/>",
            "<table><thead><tr><th colspan=\"2\">血圧</th></tr></thead></table>",
            "1 &lt; 2 &amp; 3 &#160; &#x3042;",
            "<!-- a remark --><b xml:lang=\"ja\">強</b>",
        ] {
            assert_eq!(check(&div(content)), Ok(()), "{content}");
        }
        assert_eq!(
            check(&format!("\n<div  xmlns='{XHTML}' >x</div >\n")),
            Ok(())
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for content in [
            "",
            " \n&#160;",
            "<p> </p>",
            "<img alt=\"x\"/>",
            "x<script>alert(1)</script>",
            "x<SCRIPT>1</SCRIPT>",
            "x<p onclick=\"x()\">y</p>",
            "x<p ONCLICK=\"x()\">y</p>",
            "x<form><input/></form>",
            "x<iframe src=\"https://example.org\"/>",
            "x<object/>",
            "x<svg/>",
            "x<link rel=\"stylesheet\" href=\"x.css\"/>",
            "x<style>p { color: red }</style>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\" java&#10;script&#58;alert(1)\">x</a>",
            "<a href=\"JAVASCRIPT:alert(1)\">x</a>",
            "<a href=\"data:text/html,x\">x</a>",
            "<a href=\"data:image/png,x\">x</a>",
            "<img src=\"data:image/svg+xml,x\"/>",
            "<img src=\"vbscript:x\"/>",
            "<q cite=\"javascript:x\">x</q>",
            "<p style=\"background: url(https://example.org/x)\">x</p>",
            "<p style=\"width: expression(alert(1))\">x</p>",
            "<p style=\"background: u\\72l(x)\">x</p>",
            "<p style=\"x:exp/**/ression(1)\">x</p>",
            "x&nbsp;",
            "x&#0;",
            "x&#8;",
            "x\u{1}",
            "x<p>y</b>",
            "x</div><div>y",
            "x<p a=b>y</p>",
            "x<p class=\"a\" class=\"b\">y</p>",
            "x<p title=\"<b>\">y</p>",
            "x<!-- a -- b -->",
            "x<!--><script>alert(1)</script><!-- -->",
            "x<![CDATA[<script>]]>",
            "x<?php ?>",
            "x<h:p xmlns:h=\"http://www.w3.org/1999/xhtml\">y</h:p>",
            "x<p xmlns=\"http://www.w3.org/2000/svg\">y</p>",
            "x<p",
        ] {
            assert!(check(&div(content)).is_err(), "{content}");
        }
        for whole in [
            "",
            "text",
            "<div>x</div>",
            "<div xmlns=\"http://hl7.org/fhir\">x</div>",
            "<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>",
            "<div xmlns=\"http://www.w3.org/1999/xhtml\">x",
            "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>y",
            "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div><div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>",
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"/>",
            "<!DOCTYPE div [<!ENTITY x \"y\">]><div xmlns=\"http://www.w3.org/1999/xhtml\">&x;</div>",
            "<?xml version=\"1.0\"?><div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>",
            "</div>",
        ] {
            assert!(check(whole).is_err(), "{whole}");
        }
    }

    #[test]
    fn a_mistake_names_the_element() {
        let found = check(&div("x<p onload=\"go()\">y</p>")).unwrap_err();
        assert_eq!(found.expected, "an attribute that a narrative may have");
        assert_eq!(found.found, "<p onload=\"go()\">");
    }
}
