//! One strict forward pass over an XML document, without a tree.
//!
//! Both readers of this crate, the host's [`scan`](crate::scan) and
//! [`VoEvent`](crate::VoEvent), walk here, so that they cannot disagree on what a document says.
//! Elements and attributes are known by their local names; namespaces are ignored, because real
//! producers get them wrong. Only the five predefined entities and character references are
//! resolved: a document that declares entities is refused before it is read, and nothing is ever
//! fetched. Depth, number and length of attributes are bounded.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesStart, Event};

mod chars;
mod encoding;
mod error;

pub(crate) use encoding::Decoded;
pub(crate) use error::Fault;
pub use error::{XmlError, XmlFault};

/// Elements open at the same time.
const MAX_DEPTH: usize = 128;
/// Attributes of one element.
const MAX_ATTRIBUTES: usize = 256;
/// Bytes of one attribute's value, before entities are resolved.
const MAX_ATTRIBUTE: usize = 64 * 1024;

/// Elements that a fault's path names before it breaks off.
const PATH: usize = 8;

/// What a step of the walk met.
#[derive(Debug)]
pub(crate) enum Step<'t> {
    /// An element begins; its name without prefix. Its attributes can be asked for until the next step.
    Open(&'t str),
    /// The innermost open element ends.
    Close,
    /// A piece of text, entities resolved; an element's text may come in several.
    Text(Cow<'t, str>),
    /// The document ended as it should.
    End,
}

/// The walk over one document.
#[derive(Debug)]
pub(crate) struct Walker<'t> {
    text: &'t str,
    reader: Reader<&'t [u8]>,
    open: Vec<&'t str>,
    attributes: Vec<Attribute<'t>>,
    close_next: bool,
    seen_root: bool,
    element: Range<usize>,
}

#[derive(Debug)]
struct Attribute<'t> {
    name: &'t str,
    raw: &'t str,
}

impl<'t> Walker<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            reader: Reader::from_str(text),
            open: Vec::with_capacity(16),
            attributes: Vec::with_capacity(8),
            close_next: false,
            seen_root: false,
            element: 0..0,
        }
    }

    /// Goes on to the next thing that matters; comments and processing instructions do not.
    pub(crate) fn step(&mut self) -> Result<Step<'t>, Fault> {
        if self.close_next {
            self.close_next = false;
            return Ok(self.close());
        }
        loop {
            let start = self.position();
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => return Err(self.syntax_fault(&error)),
            };
            match event {
                Event::Start(tag) => return self.open(&tag, start).map(Step::Open),
                Event::Empty(tag) => {
                    self.close_next = true;
                    return self.open(&tag, start).map(Step::Open);
                }
                Event::End(_) => return Ok(self.close()),
                Event::Text(_) if self.open.is_empty() => self.check_outside(start)?,
                Event::Text(text) => {
                    return Ok(Step::Text(borrowed(
                        text.xml10_content(),
                        self.slice(start),
                    )));
                }
                Event::CData(data) if !self.open.is_empty() => {
                    return Ok(Step::Text(Cow::Owned(data.xml10_content().into_owned())));
                }
                Event::GeneralRef(name) if !self.open.is_empty() => {
                    return self
                        .resolve(&name, start)
                        .map(|c| Step::Text(c.to_string().into()));
                }
                Event::CData(_) | Event::GeneralRef(_) => return Err(self.text_outside(start)),
                Event::Decl(_) if start > 0 => {
                    return Err(Fault::at(start, XmlFault::LateDeclaration));
                }
                Event::DocType(content) => self.check_doctype(&content, start)?,
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => return self.end(),
            }
        }
    }

    /// Goes on to the next child of the innermost open element; `None` when that element ends.
    ///
    /// Whoever is given a child reads it to its end: by this function, [`Self::text`] or
    /// [`Self::skip`].
    pub(crate) fn child(&mut self) -> Result<Option<&'t str>, Fault> {
        loop {
            match self.step()? {
                Step::Open(name) => return Ok(Some(name)),
                Step::Close | Step::End => return Ok(None),
                Step::Text(_) => {}
            }
        }
    }

    /// Reads the innermost open element to its end and returns its own text, trimmed.
    pub(crate) fn text(&mut self) -> Result<Cow<'t, str>, Fault> {
        let mut whole = Cow::Borrowed("");
        loop {
            match self.step()? {
                Step::Open(_) => self.skip()?,
                Step::Text(piece) if whole.is_empty() => whole = piece,
                Step::Text(piece) => whole.to_mut().push_str(&piece),
                Step::Close | Step::End => return Ok(chars::trimmed(whole)),
            }
        }
    }

    /// Reads the innermost open element to its end.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        let mut depth = 0_usize;
        loop {
            match self.step()? {
                Step::Open(_) => depth += 1,
                Step::Close if depth > 0 => depth -= 1,
                Step::Close | Step::End => return Ok(()),
                Step::Text(_) => {}
            }
        }
    }

    /// Returns the value of the element that was opened last, by the attribute's local name.
    pub(crate) fn attribute(&self, name: &str) -> Option<Cow<'t, str>> {
        let exact = self
            .attributes
            .iter()
            .find(|attribute| attribute.name == name);
        let by_local_name = || {
            self.attributes
                .iter()
                .find(|attribute| local(attribute.name) == name)
        };
        let attribute = exact.or_else(by_local_name)?;
        // Values were resolved once when the element was opened, so this one resolves.
        chars::attribute_value(attribute.raw).ok()
    }

    /// Bytes of the text from the `<` of the root to the `>` of its end, once that was read.
    pub(crate) fn root(&self) -> Range<usize> {
        self.element.clone()
    }

    /// Names the outermost open elements: `VOEvent/What/Param`.
    pub(crate) fn path(&self) -> String {
        match self.open.get(..PATH) {
            Some(outermost) => outermost.join("/") + "/…",
            None => self.open.join("/"),
        }
    }

    fn open(&mut self, tag: &BytesStart<'_>, start: usize) -> Result<&'t str, Fault> {
        let qualified = tag.name().0.len();
        let content = self.slice(start).get(1..).unwrap_or_default();
        let name = content.get(..qualified).unwrap_or_default();
        if self.open.is_empty() {
            self.begin_root(start)?;
        }
        if !chars::is_name(name) {
            return Err(Fault::at(start, XmlFault::BadName(name.to_owned())));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Fault::at(start, XmlFault::TooDeep { limit: MAX_DEPTH }));
        }
        self.open.push(local(name));
        self.read_attributes(content, qualified, start)?;
        Ok(local(name))
    }

    fn begin_root(&mut self, start: usize) -> Result<(), Fault> {
        if self.seen_root {
            return Err(Fault::at(start, XmlFault::SecondDocument));
        }
        self.seen_root = true;
        self.element.start = start;
        Ok(())
    }

    fn close(&mut self) -> Step<'t> {
        self.open.pop();
        if self.open.is_empty() {
            self.element.end = self.position();
        }
        Step::Close
    }

    fn end(&self) -> Result<Step<'t>, Fault> {
        let fault = match self.open.last() {
            Some(name) => XmlFault::Unclosed((*name).to_owned()),
            None if !self.seen_root => XmlFault::NoElement,
            None => return Ok(Step::End),
        };
        Err(Fault::at(self.text.len(), fault))
    }

    /// Checks and keeps the attributes of a tag; `content` is the tag from its name on.
    fn read_attributes(
        &mut self,
        content: &'t str,
        skip: usize,
        start: usize,
    ) -> Result<(), Fault> {
        self.attributes.clear();
        let within = content.strip_suffix('>').unwrap_or(content);
        let within = within.strip_suffix('/').unwrap_or(within);
        let mut attributes = Attributes::new(within, skip);
        for attribute in attributes.with_checks(false) {
            let attribute =
                attribute.map_err(|error| Fault::at(start, XmlFault::Syntax(error.to_string())))?;
            let (Cow::Borrowed(raw), name) = (attribute.value, attribute.key.0) else {
                continue;
            };
            self.check_attribute(name, raw)
                .map_err(|fault| Fault::at(start, fault))?;
            self.attributes.push(Attribute { name, raw });
        }
        Ok(())
    }

    fn check_attribute(&self, name: &str, raw: &str) -> Result<(), XmlFault> {
        if !chars::is_name(name) {
            return Err(XmlFault::BadName(name.to_owned()));
        }
        if raw.len() > MAX_ATTRIBUTE {
            let (name, limit) = (name.to_owned(), MAX_ATTRIBUTE);
            return Err(XmlFault::AttributeTooLong { name, limit });
        }
        if self.attributes.len() == MAX_ATTRIBUTES {
            return Err(XmlFault::TooManyAttributes {
                limit: MAX_ATTRIBUTES,
            });
        }
        if self.attributes.iter().any(|other| other.name == name) {
            return Err(XmlFault::AttributeTwice(name.to_owned()));
        }
        chars::check_attribute_value(raw)
    }

    fn resolve(&self, name: &str, start: usize) -> Result<char, Fault> {
        chars::resolve(name).map_err(|fault| Fault::at(start, fault))
    }

    /// Refuses a document type that declares entities; any other is passed over.
    fn check_doctype(&self, content: &str, start: usize) -> Result<(), Fault> {
        if self.seen_root {
            return Err(Fault::at(start, XmlFault::LateDoctype));
        }
        let subset = content.split_once('[').map_or("", |(_, subset)| subset);
        match subset.contains("<!ENTITY") || subset.contains('%') {
            true => Err(Fault::at(start, XmlFault::DeclaresEntities)),
            false => Ok(()),
        }
    }

    /// Outside the root only white space may stand.
    fn check_outside(&self, start: usize) -> Result<(), Fault> {
        let text = self.slice(start);
        match text.find(|c: char| !chars::is_space(c)) {
            Some(at) => Err(self.text_outside(start + at)),
            None => Ok(()),
        }
    }

    fn text_outside(&self, start: usize) -> Fault {
        let fault = match self.seen_root {
            true => XmlFault::TextAfterDocument,
            false => XmlFault::TextBeforeDocument,
        };
        Fault::at(start, fault)
    }

    fn syntax_fault(&self, error: &quick_xml::Error) -> Fault {
        let at = usize::try_from(self.reader.error_position()).unwrap_or(self.text.len());
        Fault::at(at, XmlFault::Syntax(error.to_string()))
    }

    /// The text from `start` to where the reader stands.
    fn slice(&self, start: usize) -> &'t str {
        self.text.get(start..self.position()).unwrap_or_default()
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(self.text.len())
    }
}

/// The name without its namespace prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// Text that needed no change is taken from the document itself, which outlives the reader's event.
fn borrowed<'t>(content: Cow<'_, str>, original: &'t str) -> Cow<'t, str> {
    match content {
        Cow::Borrowed(_) => Cow::Borrowed(original),
        Cow::Owned(changed) => Cow::Owned(changed),
    }
}

#[cfg(test)]
mod tests;
